"""ONE table of topics per node: name, type, quality of service, meaning.

It stands in ``avs_ros/data/topics.yaml``.  Publishers are made from it, and the documents' table
(``python tools/document_tables.py``).
Those that tell the segmentation node's answers are rows of :mod:`avs_ros.conversions.topics`.
Beside it: names of topics beside others, and quality of service by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from avs_ros.conversions.topics import ANSWER_TOPICS, DIAGNOSTICS, Topic
from avs_ros.errors import ParameterError


def transport_topic(node: Any, base: str, transport: str) -> str:
    """``<base>/<transport>`` of the *remapped* base, as image_transport resolves it.

    A remap rule for `image` does not touch `image/compressed` by itself.
    """
    return f"{node.resolve_topic_name(base)}/{transport}"


def sibling_topic(node: Any, name: str, base: str) -> str:
    """``name`` next to the remapped ``base`` (`/camera/image` -> `/camera/camera_info`).

    A remap rule for ``name`` itself comes first.
    """
    remapped = str(node.resolve_topic_name(name))
    if remapped != node.resolve_topic_name(name, only_expand=True):
        return remapped
    if node.resolve_topic_name(base) == node.resolve_topic_name(base, only_expand=True):
        return remapped
    beside = str(node.resolve_topic_name(base)).removesuffix("/compressed")
    return f"{beside.rpartition('/')[0]}/{name}"


def published_types(node: Any, topic: str) -> list[str]:
    """Message types that somebody publishes on ``topic`` (full names), most publishers first."""
    found = Counter(info.topic_type for info in node.get_publishers_info_by_topic(topic))
    return [name for name, _ in found.most_common()]


_PROFILES = {
    "sensor_data": (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
    "reliable": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
    "latched": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
    "system_default": (ReliabilityPolicy.SYSTEM_DEFAULT, DurabilityPolicy.SYSTEM_DEFAULT),
}


def qos_profile(name: str, depth: int) -> QoSProfile:
    """A fresh profile (rclpy writes overrides into it) by its parameter value.

    ``sensor_data``: best effort, volatile; ``reliable``: reliable, volatile; ``latched``:
    reliable, transient local (the last samples reach late joiners); ``system_default``: whatever
    the RMW is configured to do.  All keep the last ``depth`` samples.
    """
    reliability, durability = _PROFILES[name]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
        durability=durability,
    )


def qos_overrides(node: Node, topic: str) -> dict[str, Any]:
    """What the user says in ``qos_overrides.<topic>.subscription.…``: policy -> its value.

    rclpy's own overriding options declare the first profile's values as parameters, so that they
    would override every later profile of the same topic too: a subscription that follows its
    publishers needs what the *user* said.  Raises :class:`ParameterError` for a value that is
    none.
    """
    found: dict[str, Any] = {}
    for policy, choices in (
        ("reliability", ReliabilityPolicy.__members__), ("history", HistoryPolicy.__members__),
        ("depth", None),
    ):
        name = f"qos_overrides.{topic}.subscription.{policy}"
        kind = Parameter.Type.STRING if choices else Parameter.Type.INTEGER
        try:
            known = node.has_parameter(name)
            one = node.get_parameter(name) if known else node.declare_parameter(name, kind)
        except InvalidParameterTypeException as error:
            raise ParameterError(str(error)) from error
        if (given := one.value) is None:
            node.undeclare_parameter(name)
            continue
        value = choices.get(given.upper()) if choices else given
        if value is None or (policy == "depth" and given < 1):
            raise ParameterError(f"parameter {name} is {given!r}: no such {policy}")
        found[policy] = value
    return found


def _tables() -> Iterator[tuple[str, dict[str, tuple[Topic, ...]]]]:
    file = Path(__file__).parents[1] / "data" / "topics.yaml"
    for node, sides in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        table = {
            side: tuple(
                Topic(
                    name, row["type"], row["meaning"], row.get("quality", "reliable"),
                    row.get("depth", 1),
                )
                for name, row in topics.items()
            )
            for side, topics in sides.items()
        }
        answers = ANSWER_TOPICS if node == "segmentation_node" else ()
        # The player has no diagnostics.
        page = () if node == "player_node" else (DIAGNOSTICS,)
        yield node, {**table, "publishes": (*table.get("publishes", ()), *answers, *page)}


# Node -> "subscribes" and "publishes" -> topics.
TOPICS: Mapping[str, Mapping[str, tuple[Topic, ...]]] = dict(_tables())
