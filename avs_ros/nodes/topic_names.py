"""Names of topics beside another one, as camera drivers lay them out, and of loggers."""

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


def logger_name(node: str, *namespaces: str) -> str:
    """The name of a node's logger, for ``--log-level <name>:=debug``.

    ``namespaces``: from the outermost inwards, as launch files push them; one that begins with a
    slash is absolute.  A level without a name would also be rcl's and the RMW's.
    """
    full = ""
    for one in namespaces:
        full = one if one.startswith("/") else f"{full}/{one}"
    return ".".join(part for part in f"{full}/{node}".split("/") if part)
