"""Rules for node names, namespaces, topics and services; making names absolute."""

from __future__ import annotations

import re

from .exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

_MAX_NODE_NAME = 255
_MAX_FULL_NAME = 247
_BAD_FULL = re.compile(r"[^A-Za-z0-9_/]")
_BAD_TOPIC = re.compile(r"[^A-Za-z0-9_/~{}]")
_SUBSTITUTION = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

Problem = tuple[str, int]


def _node_name_problem(name: str) -> Problem | None:
    if not name:
        return "node name must not be empty", 0
    bad = re.search(r"[^A-Za-z0-9_]", name)
    if bad:
        return "node name must not contain characters other than alphanumerics or '_'", bad.start()
    if name[0].isdigit():
        return "node name must not start with a number", 0
    if len(name) > _MAX_NODE_NAME:
        return f"node name must not be longer than {_MAX_NODE_NAME} characters", _MAX_NODE_NAME - 1
    return None


def _full_name_problem(name: str, what: str) -> Problem | None:
    if not name:
        return f"{what} must not be empty", 0
    if name[0] != "/":
        return f"{what} must be absolute, it must lead with a '/'", 0
    if len(name) > 1 and name[-1] == "/":
        return f"{what} must not end with a '/'", len(name) - 1
    bad = _BAD_FULL.search(name)
    if bad:
        return (
            f"{what} must not contain characters other than alphanumerics, '_', or '/'",
            bad.start(),
        )
    for pattern, text in (
        ("//", "must not contain repeated '/'"),
        ("__", "must not contain repeated '_'"),
    ):
        if pattern in name:
            return f"{what} {text}", name.index(pattern) + 1
    digit = re.search(r"/[0-9]", name)
    if digit:
        return f"{what} must not have a token that starts with a number", digit.start() + 1
    if len(name) > _MAX_FULL_NAME:
        return f"{what} should not exceed '{_MAX_FULL_NAME}'", _MAX_FULL_NAME - 1
    return None


def _topic_name_problem(name: str) -> Problem | None:
    if not name:
        return "topic name must not be empty string", 0
    if name[0].isdigit():
        return "topic name token must not start with a number", 0
    if name[-1] == "/" and name != "/":
        return "topic name must not end with a forward slash", len(name) - 1
    bad = _BAD_TOPIC.search(name)
    if bad:
        return (
            "topic name must not contain characters other than alphanumerics, '_', '~', '{', "
            "or '}'",
            bad.start(),
        )
    tilde = name.find("~", 1)
    if tilde > 0:
        return "topic name has a tilde not in the first position", tilde
    if name[0] == "~" and len(name) > 1 and name[1] != "/":
        return "topic name has '~' not followed by a forward slash", 1
    stripped = _SUBSTITUTION.sub("x", name)
    brace = re.search(r"[{}]", stripped)
    if brace:
        return "topic name has unbalanced or wrong curly braces", min(brace.start(), len(name) - 1)
    for pattern, text in (("//", "repeated '/'"), ("__", "repeated '_'")):
        if pattern in name:
            return f"topic name must not contain {text}", name.index(pattern) + 1
    digit = re.search(r"/[0-9]", name)
    if digit:
        return "topic name token must not start with a number", digit.start() + 1
    return None


def validate_node_name(node_name: str) -> bool:
    """Give ``True``; raises ``InvalidNodeNameException`` for a bad name."""
    problem = _node_name_problem(node_name)
    if problem:
        raise InvalidNodeNameException(node_name, *problem)
    return True


def validate_namespace(namespace: str) -> bool:
    """Give ``True``; raises ``InvalidNamespaceException`` for a bad or relative namespace."""
    problem = _full_name_problem(namespace, "namespace")
    if problem:
        raise InvalidNamespaceException(namespace, *problem)
    return True


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Give ``True`` for a good absolute name; raises ``Invalid{Topic,Service}NameException``."""
    problem = _full_name_problem(name, "topic name")
    if problem is None and name == "/":
        problem = "topic name must have a token after the '/'", 0
    if problem:
        error = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise error(name, *problem)
    return True


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Give ``True`` for a good name; raises ``Invalid{Topic,Service}NameException`` if not."""
    problem = _topic_name_problem(name)
    if problem:
        error = InvalidServiceNameException if is_service else InvalidTopicNameException
        raise error(name, *problem)
    return True


def expand_topic_name(topic_name: str, node_name: str, node_namespace: str) -> str:
    """Make any name absolute; raises ``Invalid...NameException``, ``ValueError``."""
    validate_topic_name(topic_name)
    validate_node_name(node_name)
    validate_namespace(node_namespace)
    substitutions = {"node": node_name, "ns": node_namespace, "namespace": node_namespace}

    def replace(match: re.Match[str]) -> str:
        if match[1] not in substitutions:
            raise ValueError(f"unknown substitution {{{match[1]}}} in {topic_name!r}")
        return substitutions[match[1]]

    root = node_namespace.rstrip("/")
    name = topic_name
    if name == "~" or name.startswith("~/"):
        name = f"{root}/{node_name}{name[1:]}"
    name = _SUBSTITUTION.sub(replace, name)
    return name if name.startswith("/") else f"{root}/{name}"
