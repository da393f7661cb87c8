"""Names of topics beside another one, as camera drivers lay them out."""

from __future__ import annotations

from typing import Any


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
    found: dict[str, int] = {}
    for info in node.get_publishers_info_by_topic(topic):
        found[info.topic_type] = found.get(info.topic_type, 0) + 1
    return sorted(found, key=lambda name: -found[name])
