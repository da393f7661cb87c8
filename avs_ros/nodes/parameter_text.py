"""The parameter tables as text: a ROS parameter file and Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Mapping

from avs_ros.nodes.parameter_spec import ParameterSpec, Table, Value

BEGIN, END = "<!-- parameters:begin -->", "<!-- parameters:end -->"


def _literal(value: Value) -> str:
    """A YAML (and Python-like) literal; JSON is a subset of YAML."""
    return json.dumps(value, ensure_ascii=False)


def _comment(spec: ParameterSpec) -> str:
    notes = [note for note in (spec.constraint, f"change: {spec.change.value}") if note]
    return f"{spec.description} ({'; '.join(notes)})"


def to_yaml(tables: Mapping[str, Table]) -> str:
    """Every node's defaults as a ROS 2 parameter file with a comment above each line."""
    lines = [
        "# Defaults of every parameter, for `params_file:=` (copy, change, pass your copy).",
        "# Printed by `python -m avs_ros.nodes.parameters --format yaml`.",
    ]
    for node, table in tables.items():
        lines += ["", f"/**/{node}:", "  ros__parameters:"]
        for spec in table:
            lines += [f"    # {_comment(spec)}", f"    {spec.name}: {_literal(spec.default)}"]
    return "\n".join(lines) + "\n"


def to_markdown(tables: Mapping[str, Table]) -> str:
    """One Markdown table per node, between the markers that the README keeps it in."""
    lines = [BEGIN]
    for node, table in tables.items():
        lines += [
            f"#### {node}",
            "",
            "| parameter | type | default | range | change | description |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{spec.name}` | {spec.type_name} | `{_literal(spec.default)}` | "
            f"{spec.constraint} | {spec.change.value} | {spec.description} |"
            for spec in table
        ]
        lines.append("")
    lines.append(END)
    return "\n".join(lines) + "\n"
