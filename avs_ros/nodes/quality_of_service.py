"""Quality of service by name, and what users override."""

from __future__ import annotations

from typing import Any

from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from avs_ros.errors import ParameterError

_RELIABILITY = {
    "sensor_data": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
    "system_default": ReliabilityPolicy.SYSTEM_DEFAULT,
}


def profile(name: str, depth: int) -> QoSProfile:
    """A fresh profile (rclpy writes overrides into it) by its parameter value.

    ``sensor_data``: best effort, volatile; ``reliable``: reliable, volatile; ``system_default``:
    whatever the RMW is configured to do.  All keep the last ``depth`` samples.
    """
    if name not in _RELIABILITY:
        raise ParameterError(f"quality of service {name!r}: expected {', '.join(_RELIABILITY)}")
    durability = (
        DurabilityPolicy.SYSTEM_DEFAULT if name == "system_default" else DurabilityPolicy.VOLATILE
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=_RELIABILITY[name],
        durability=durability,
    )


def latched() -> QoSProfile:
    """Reliable, transient local, depth 1: the last sample reaches late joiners."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Let users set ``qos_overrides.<topic>.publisher.…`` for history, depth, reliability."""
    return QoSOverridingOptions.with_default_policies()


def overrides(node: Node, topic: str) -> dict[str, Any]:
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
        given = _user_value(node, name, kind)
        if given is None:
            continue
        value = choices.get(given.upper()) if choices else given
        if value is None or (policy == "depth" and given < 1):
            raise ParameterError(f"parameter {name} is {given!r}: no such {policy}")
        found[policy] = value
    return found


def _user_value(node: Node, name: str, kind: Parameter.Type) -> Any:
    """The value that the user gave to ``name``; None, and no such parameter, without one."""
    if not node.has_parameter(name):
        try:
            given = node.declare_parameter(name, kind).value
        except InvalidParameterTypeException as error:
            raise ParameterError(str(error)) from error
        if given is None:
            node.undeclare_parameter(name)
            return None
    return node.get_parameter(name).value
