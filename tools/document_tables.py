"""Write what is made from the tables of parameters and topics: config/avs.yaml and two pages.

    python tools/document_tables.py

Needs ROS 2 (the tables belong to the nodes).  A test holds the files to the tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from avs_ros.nodes.parameters import TABLES, ParameterSpec, Table, Value
from avs_ros.nodes.topics import TOPICS

ROOT = Path(__file__).resolve().parents[1]


def _literal(value: Value) -> str:
    """A YAML (and Python-like) literal; JSON is a subset of YAML."""
    return json.dumps(value, ensure_ascii=False)


def _comment(spec: ParameterSpec) -> str:
    notes = [note for note in (spec.constraint, f"change: {spec.change.value}") if note]
    return f"{spec.description} ({'; '.join(notes)})"


def parameter_file(tables: Mapping[str, Table]) -> str:
    """Every node's defaults as a ROS 2 parameter file with a comment above each line."""
    lines = [
        "# Defaults of every parameter, for `params_file:=` (copy, change, pass your copy).",
        "# Printed by `python tools/document_tables.py`.",
    ]
    for node, table in tables.items():
        lines += ["", f"/**/{node}:", "  ros__parameters:"]
        for spec in table:
            lines += [f"    # {_comment(spec)}", f"    {spec.name}: {_literal(spec.default)}"]
    return "\n".join(lines) + "\n"


def parameter_page(tables: Mapping[str, Table]) -> str:
    """One Markdown table per node."""
    lines = [
        "# Parameters", "",
        "A change that is out of range or comes in the wrong state is refused with the reason; "
        "`ros2 param describe` shows", "description and range. "
        "[Tuning](tuning.md) says which to turn.",
    ]
    for node, table in tables.items():
        lines += ["", f"## {node}", "",
                  "| parameter | type | default | range | change | description |",
                  "|---|---|---|---|---|---|"]
        lines += [
            f"| `{spec.name}` | {spec.type_name} | `{_literal(spec.default)}` | "
            f"{spec.constraint} | {spec.change.value} | {spec.description} |"
            for spec in table
        ]
    return "\n".join(lines) + "\n"


def topic_page() -> str:
    """One Markdown table per node."""
    lines = [
        "# Topics", "",
        "QoS names are those of the parameters (`image_qos`, `qos`); the number is the depth.",
    ]
    for node, sides in TOPICS.items():
        lines += ["", f"## {node}", "", "| | topic | type | QoS, depth | meaning |",
                  "|---|---|---|---|---|"]
        lines += [
            f"| {side} | `{topic.name}` | {topic.type_name.replace('/msg/', '/')} | "
            f"{topic.quality}, {topic.depth} | {topic.meaning} |"
            for side, topics in sides.items() for topic in topics
        ]
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """File -> what it must hold."""
    return {
        ROOT / "config" / "avs.yaml": parameter_file(TABLES),
        ROOT / "docs" / "robot" / "parameters.md": parameter_page(TABLES),
        ROOT / "docs" / "robot" / "topics.md": topic_page(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
