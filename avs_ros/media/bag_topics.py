"""Which topics of a bag are the camera and the microphone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avs_ros.errors import BagError

# Words in the names of image topics that are not what a camera sees.
NOT_A_CAMERA = ("depth", "mask", "overlay", "ground_truth", "label", "probability", "disparity",
                "infra", "heatmap", "cost")


def choose_topic(
    path: Path, connections: Sequence[Any], what: str, types: Sequence[str], topic: str
) -> list[Any]:
    """Connections of the ``topic`` that was asked for, or ("") of the likeliest one.

    ``what``: "image" or "sound", for the message of the :class:`BagError` that is raised where
    there is none; ``types``: the likeliest first.
    """
    fitting = [c for c in connections if c.msgtype in types]
    if topic:
        name = "/" + topic.lstrip("/")
        chosen = [c for c in fitting if c.topic == name]
        if not chosen:
            others = sorted({c.topic for c in fitting})
            kinds = {c.msgtype for c in connections if c.topic == name}
            says = f"is {kinds.pop()}, not {what}" if kinds else "is not in the bag"
            offer = f"; its {what} topics: {', '.join(others)}" if others else ""
            raise BagError(f"{path}: topic {name} {says}{offer}")
        return chosen
    filled = [c for c in fitting if c.msgcount > 0]
    if not filled:
        has = ", ".join(sorted({c.topic for c in connections})) or "no topics"
        raise BagError(
            f"{path}: no {what} topic with messages (looked for {', '.join(types)}; the bag has "
            f"{has})"
        )
    best = min(filled, key=lambda c: (_unlikely(c.topic), types.index(c.msgtype),
                                      -c.msgcount, c.topic))
    return [c for c in filled if c.topic == best.topic]


def other_topics(connections: Sequence[Any], types: Sequence[str], chosen: str) -> str:
    """What could have been chosen instead, "" for nothing."""
    filled = {c.topic for c in connections if c.msgtype in types and c.msgcount > 0}
    return ", ".join(sorted(filled - {chosen}))


def _unlikely(topic: str) -> int:
    return int(any(word in topic for word in NOT_A_CAMERA))
