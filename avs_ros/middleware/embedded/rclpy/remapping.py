"""Name remapping rules: what ``-r old:=new`` and ``-r __ns:=/robot`` mean.

Same grammar and the same order of precedence as the client library in C that real rclpy stands on
(``rcl``): the node's own rules come before the process-wide ones, and the first rule that matches
wins.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

_TOKEN = r"(?:[A-Za-z](?:_?[A-Za-z0-9])*_?|_(?:[A-Za-z0-9](?:_?[A-Za-z0-9])*_?)?)"
_NAME = rf"(?:~/|/)?{_TOKEN}(?:/{_TOKEN})*"
_NAMESPACE = rf"/(?:{_TOKEN}(?:/{_TOKEN})*/?)?"
_RULE = re.compile(
    rf"(?:(?P<node>{_TOKEN}):(?![=/]))?"
    rf"(?:__(?:node|name):=(?P<new_name>{_TOKEN})"
    rf"|__ns:=(?P<new_namespace>{_NAMESPACE})"
    rf"|(?P<url>rostopic://|rosservice://)?(?P<match>{_NAME}):=(?P<replacement>{_NAME}))"
)


class RemapKind(enum.Flag):
    """What a rule applies to; a plain ``a:=b`` applies to topics and to services."""

    TOPIC = enum.auto()
    SERVICE = enum.auto()
    NODE_NAME = enum.auto()
    NAMESPACE = enum.auto()


@dataclass(frozen=True)
class RemapRule:
    """One rule.

    ``node_name`` limits it to the node of that (final) name; ``match`` is empty for rules that
    rename a node or its namespace.
    """

    kind: RemapKind
    replacement: str
    match: str = ""
    node_name: str = ""


def parse_remap_rule(text: str) -> RemapRule:
    """Read one rule such as ``image:=/camera/image`` or ``talker:__ns:=/robot``.

    Raises ``ValueError`` for anything that is not a rule.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is not a remap rule (expected 'old:=new')")
    node_name = found["node"] or ""
    if found["new_name"] is not None:
        return RemapRule(RemapKind.NODE_NAME, found["new_name"], node_name=node_name)
    if found["new_namespace"] is not None:
        return RemapRule(RemapKind.NAMESPACE, found["new_namespace"], node_name=node_name)
    kind = {
        "rostopic://": RemapKind.TOPIC,
        "rosservice://": RemapKind.SERVICE,
        None: RemapKind.TOPIC | RemapKind.SERVICE,
    }[found["url"]]
    return RemapRule(kind, found["replacement"], found["match"], node_name)


def expand_name(name: str, node_name: str, namespace: str) -> str:
    """Make a topic or service name absolute.

    ``~/mask`` becomes ``<namespace>/<node>/mask``, ``mask`` becomes ``<namespace>/mask``.
    """
    root = namespace.rstrip("/")
    if name.startswith("/"):
        return name
    if name == "~" or name.startswith("~/"):
        return f"{root}/{node_name}{name[1:]}"
    return f"{root}/{name}"


def _first(
    rules: Iterable[RemapRule], kind: RemapKind, name: str, node_name: str, namespace: str
) -> RemapRule | None:
    for rule in rules:
        if not rule.kind & kind or (rule.node_name and rule.node_name != node_name):
            continue
        if rule.match and expand_name(rule.match, node_name, namespace) != name:
            continue
        return rule
    return None


def remap_node(
    rules: Iterable[RemapRule], node_name: str, namespace: str
) -> tuple[str, str]:
    """Give the node's final name and namespace.

    A rule for the namespace that names a node is compared with the *new* node name.
    """
    rules = list(rules)
    renamed = _first(rules, RemapKind.NODE_NAME, "", node_name, namespace)
    if renamed is not None:
        node_name = renamed.replacement
    moved = _first(rules, RemapKind.NAMESPACE, "", node_name, namespace)
    if moved is not None:
        namespace = moved.replacement
    if not namespace.startswith("/"):
        namespace = "/" + namespace
    return node_name, namespace


def remap_topic(rules: Iterable[RemapRule], name: str, node_name: str, namespace: str) -> str:
    """Give the final absolute name of topic ``name`` (relative, private or absolute)."""
    return _remap(rules, RemapKind.TOPIC, name, node_name, namespace)


def remap_service(rules: Iterable[RemapRule], name: str, node_name: str, namespace: str) -> str:
    """Give the final absolute name of service ``name`` (relative, private or absolute)."""
    return _remap(rules, RemapKind.SERVICE, name, node_name, namespace)


def _remap(
    rules: Iterable[RemapRule], kind: RemapKind, name: str, node_name: str, namespace: str
) -> str:
    name = expand_name(name, node_name, namespace)
    rule = _first(rules, kind, name, node_name, namespace)
    return name if rule is None else expand_name(rule.replacement, node_name, namespace)
