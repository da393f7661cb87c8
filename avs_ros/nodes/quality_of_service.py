"""Quality of service by name, what publishers offer, and incompatible offers in words."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from avs_ros.errors import ParameterError

_RELIABILITY = {
    "sensor_data": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
    "system_default": ReliabilityPolicy.SYSTEM_DEFAULT,
}
# What a subscription can ask of a publisher, per policy, and the parameter value that gives in.
_ADVICE = {
    "RELIABILITY": "it sends best effort and this side asks for reliable; use auto or sensor_data",
    "DURABILITY": "it keeps no samples for late joiners and this side asks for transient local; "
    "use auto or sensor_data",
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


def override(node: Node, topic: str, wanted: QoSProfile) -> set[str]:
    """Write what ``qos_overrides.<topic>.subscription.…`` says into ``wanted``.

    Returns the names of the policies that were given.  rclpy's own overriding options declare the
    first profile's values as parameters, so that they would override every later profile of the
    same topic too: a subscription that follows its publishers needs what the *user* said.
    Raises :class:`ParameterError` for a value that is none.
    """
    kinds = {"reliability": ReliabilityPolicy, "history": HistoryPolicy, "depth": int}
    given = set()
    for policy, kind in kinds.items():
        name = f"qos_overrides.{topic}.subscription.{policy}"
        value = _user_value(node, name, Parameter.Type.INTEGER if kind is int
                            else Parameter.Type.STRING)
        if value is None:
            continue
        try:
            setattr(wanted, policy, value if kind is int else kind[value.upper()])
        except (KeyError, ValueError) as error:
            raise ParameterError(f"parameter {name} is {value!r}: no such {policy}") from error
        given.add(policy)
    return given


def _user_value(node: Node, name: str, kind: Parameter.Type) -> Any:
    """The value that the user gave to ``name``; None, and no such parameter, without one."""
    if not node.has_parameter(name):
        node.declare_parameter(name, kind)
        if node.get_parameter_type(name) == Parameter.Type.NOT_SET.value:
            node.undeclare_parameter(name)
            return None
    return node.get_parameter(name).value


def incompatible_words(topic: str, policy_kind: Any) -> str:
    """One sentence for an incompatible publisher on ``topic``."""
    try:
        # Older releases say RELIABILITY_QOS_POLICY.
        policy = qos_policy_name_from_kind(policy_kind).removesuffix("_QOS_POLICY")
    except (ValueError, KeyError, TypeError):
        policy = str(policy_kind)
    advice = _ADVICE.get(policy, f"the two sides disagree on {policy}")
    return f"a publisher on {topic} will not be heard: {advice}"
