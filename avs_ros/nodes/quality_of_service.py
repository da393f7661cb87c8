"""Quality of service by name, and incompatible offers in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avs_ros.errors import ParameterError
from avs_ros.middleware import rclpy

# What a subscription can ask of a publisher, per policy, and the parameter value that gives in.
_ADVICE = {
    "RELIABILITY": "it sends best effort and this side asks for reliable; use sensor_data",
    "DURABILITY": "it keeps no samples for late joiners and this side asks for transient local; "
    "use sensor_data",
}


def profile(name: str, depth: int) -> Any:
    """A fresh ``QoSProfile`` (rclpy writes overrides into it) by its parameter value.

    ``sensor_data``: best effort, volatile; ``reliable``: reliable, volatile; ``system_default``:
    whatever the middleware is configured to do.  All keep the last ``depth`` samples.
    """
    qos = rclpy.qos
    reliability = {
        "sensor_data": qos.ReliabilityPolicy.BEST_EFFORT,
        "reliable": qos.ReliabilityPolicy.RELIABLE,
        "system_default": qos.ReliabilityPolicy.SYSTEM_DEFAULT,
    }
    if name not in reliability:
        raise ParameterError(f"quality of service {name!r}: expected {', '.join(reliability)}")
    durability = (
        qos.DurabilityPolicy.SYSTEM_DEFAULT
        if name == "system_default"
        else qos.DurabilityPolicy.VOLATILE
    )
    return qos.QoSProfile(
        history=qos.HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability[name],
        durability=durability,
    )


def latched() -> Any:
    """Reliable, transient local, depth 1: the last sample reaches late joiners."""
    qos = rclpy.qos
    return qos.QoSProfile(
        history=qos.HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=qos.ReliabilityPolicy.RELIABLE,
        durability=qos.DurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> Any:
    """Let users set ``qos_overrides.<topic>.…`` parameters for history, depth, reliability."""
    return rclpy.qos_overriding_options.QoSOverridingOptions.with_default_policies()


def incompatible_words(topic: str, policy_kind: Any) -> str:
    """One sentence for an incompatible publisher on ``topic``."""
    try:
        # Older releases say RELIABILITY_QOS_POLICY.
        policy = rclpy.qos.qos_policy_name_from_kind(policy_kind).removesuffix("_QOS_POLICY")
    except (ValueError, KeyError, TypeError):
        policy = str(policy_kind)
    advice = _ADVICE.get(policy, f"the two sides disagree on {policy}")
    return f"a publisher on {topic} will not be heard: {advice}"


def subscription_events(topic: str, report: Callable[[str], None]) -> Any:
    """Event callbacks that ``report`` an incompatible publisher in words."""

    def on_incompatible(event: Any) -> None:
        report(incompatible_words(topic, event.last_policy_kind))

    # `event_handler` since Iron, `qos_event` in Humble.
    module = rclpy.event_handler if hasattr(rclpy, "event_handler") else rclpy.qos_event
    return module.SubscriptionEventCallbacks(incompatible_qos=on_incompatible)
