"""Subscriptions as every node here makes them: QoS that follows, guarded, mismatches in words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble's name of it
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

from avs_ros.conversions import Message
from avs_ros.nodes import quality_of_service
from avs_ros.nodes.message_counters import MessageCounters
from avs_ros.nodes.message_types import interface


class InputSubscription:
    """One subscription of a node.

    With ``qos`` ``auto`` it is reliable where every publisher offers that (a large image comes in
    many datagrams, and best effort loses all of it with the first that is lost), else best
    effort, which hears everybody.  :meth:`follow`, called now and then, keeps it so.
    """

    def __init__(
        self, node: Node, type_name: str, topic: str, callback: Callable[[Message], None], *,
        qos: str, depth: int, counters: MessageCounters, group: CallbackGroup | None = None,
    ) -> None:
        """Subscribe.

        ``qos``: ``auto`` or a name that :func:`quality_of_service.profile` takes; ``depth``:
        samples kept; ``counters`` count what ``callback`` raises.  Users may set
        ``qos_overrides.<topic>.subscription.…``.  Raises :class:`MessageTypeError` where
        the message's package is not installed, :class:`ParameterError` for a wrong override.
        """
        self.type_name = type_name
        self.topic = str(node.resolve_topic_name(topic))
        self.problem = ""
        self._node = node
        self._message = interface(type_name)
        self._callback = counters.guarded(callback, f"message on {self.topic}")
        self._choice, self._depth, self._group = qos, depth, group
        self._lock = threading.Lock()
        self._subscription: Any = None
        self._qos, self._why = self._choose()
        self._subscribe()

    def describe(self) -> str:
        """Topic, type and quality of service, as they are in effect."""
        reliability = self._qos.reliability.name.lower().replace("_", " ")
        why = f" ({self._why})" if self._why else ""
        return f"{self.topic} ({self.type_name}), {reliability}{why}, depth {self._qos.depth}"

    def follow(self) -> None:
        """Subscribe anew where the publishers' offers ask for it; forget what is over."""
        with self._lock:
            if self._subscription is None:
                return
            qos, why = self._choose()
            if qos.reliability != self._qos.reliability:
                self._node.destroy_subscription(self._subscription)
                self._qos, self._why = qos, why
                self._subscribe()
            self._why = why
            if self.problem and all(self._hears(one) for one in self._offers()):
                self.problem = ""

    def destroy(self) -> None:
        """Unsubscribe."""
        with self._lock:
            if self._subscription is not None:
                self._node.destroy_subscription(self._subscription)
                self._subscription = None

    def _offers(self) -> list[QoSProfile]:
        return [
            info.qos_profile for info in self._node.get_publishers_info_by_topic(self.topic)
        ]

    def _hears(self, offer: QoSProfile) -> bool:
        return bool(qos_check_compatible(offer, self._qos)[0] != QoSCompatibility.ERROR)

    def _choose(self) -> tuple[QoSProfile, str]:
        """The profile to use now, and in words why."""
        auto = self._choice == "auto"
        qos = quality_of_service.profile("sensor_data" if auto else self._choice, self._depth)
        given = quality_of_service.override(self._node, self.topic, qos)
        if "reliability" in given:
            return qos, "by qos_overrides"
        if not auto:
            return qos, ""
        offers = self._offers()
        reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in offers)
        if not offers and self._subscription is not None:
            # Who left may come back as it was.
            reliable = self._qos.reliability == ReliabilityPolicy.RELIABLE
        if reliable:
            qos.reliability = ReliabilityPolicy.RELIABLE
        why = "every publisher is" if reliable else "not every publisher is reliable"
        return qos, f"auto: {why if offers else 'no publisher yet'}"

    def _subscribe(self) -> None:
        self.problem = ""
        options: dict[str, Any] = {"callback_group": self._group}
        try:
            self._subscription = self._node.create_subscription(
                self._message, self.topic, self._callback, self._qos,
                event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
                **options,
            )
        except UnsupportedEventTypeError:
            # An RMW that does not notice mismatches still delivers messages.
            self._subscription = self._node.create_subscription(
                self._message, self.topic, self._callback, self._qos, **options
            )
        self._node.get_logger().info(f"subscribed to {self.describe()}")

    def _on_incompatible(self, event: Any) -> None:
        if self._why.startswith("auto"):
            return  # the next look at the publishers will make it fit
        sentence = quality_of_service.incompatible_words(self.topic, event.last_policy_kind)
        if sentence != self.problem:
            self.problem = sentence
            self._node.get_logger().warning(sentence)
