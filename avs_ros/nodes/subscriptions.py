"""Subscriptions as every node here makes them: QoS by name, overridable, mismatches in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avs_ros.conversions import Message
from avs_ros.middleware import get_message, rclpy
from avs_ros.nodes import quality_of_service

# `event_handler` since Iron, `qos_event` in Humble.
_EVENTS = rclpy.event_handler if hasattr(rclpy, "event_handler") else rclpy.qos_event


def subscribe(
    node: Any, type_name: str, topic: str, callback: Callable[[Message], None], *,
    qos: str, depth: int, report: Callable[[str], None], group: Any = None,
) -> Any:
    """Subscribe ``node``; ``report`` is told, in one sentence, of publishers that do not match.

    ``qos`` is a profile name, ``depth`` the number of samples kept, ``group`` a callback group.
    Users may set ``qos_overrides.<topic>.subscription.…``.
    """
    options: dict[str, Any] = {
        "callback_group": group,
        "qos_overriding_options": quality_of_service.overridable(),
    }
    resolved = str(node.resolve_topic_name(topic))
    message = get_message(type_name)
    try:
        return node.create_subscription(
            message, topic, callback, quality_of_service.profile(qos, depth),
            event_callbacks=quality_of_service.subscription_events(resolved, report), **options,
        )
    except _EVENTS.UnsupportedEventTypeError:
        # A middleware that does not notice mismatches still delivers messages.
        return node.create_subscription(
            message, topic, callback, quality_of_service.profile(qos, depth), **options
        )
