"""Subscriptions as every node here makes them: QoS that follows, guarded, mismatches in words.

What a message that cannot be used is counted by: :class:`MessageCounters`.
"""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from avs_ros.conversions.messages import Message, reason_of
from avs_ros.errors import AvsError
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.topics import qos_overrides, qos_profile


class MessageCounters:
    """Counters with the last message said about each, for diagnostics and the log."""

    def __init__(self, logger: Any) -> None:
        """Start at zero; :meth:`refuse` writes to ``logger`` (a node's)."""
        self._logger = logger
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def count(self, reason: str, message: str) -> int:
        """Add one to ``reason`` and return the new count; ``message`` explains the latest."""
        with self._lock:
            self._counts[reason] += 1
            self._last[reason] = message
            return self._counts[reason]

    def refuse(self, error: Exception, what: str) -> None:
        """Count a message that cannot be used; say so the 1st, 10th, 100th… time.

        Not only our own errors: what OpenCV, NumPy or a resampler raises on account of one
        message is that message's fault, and no reason for a node to end.
        """
        if isinstance(error, AvsError):
            reason, message = reason_of(error), str(error)
        else:
            kind = type(error)
            reason = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
            message = f"{reason}: {' '.join(str(error).split())}"
        times = self.count(reason, message)
        if str(times).strip("0") == "1":
            self._logger.warning(f"{what} refused ({times}x): {message}")
            if not isinstance(error, AvsError):
                self._logger.debug("".join(traceback.format_exception(error)))

    def counts(self) -> dict[str, int]:
        """All counters, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def messages(self) -> dict[str, str]:
        """The latest message of each reason."""
        with self._lock:
            return dict(self._last)


try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble's name of it
    from rclpy.qos_event import SubscriptionEventCallbacks


class InputSubscription:
    """One subscription of a node.

    With ``qos`` ``auto`` it is reliable where every publisher offers that (a large image comes in
    many datagrams, and best effort loses all of it with the first that is lost), else best
    effort, which hears everybody; and latched (transient local) where every publisher is, so that
    who comes late gets the last sample too.  :meth:`follow`, called now and then by one thread at
    a time, keeps it so.
    """

    def __init__(
        self, node: Node, type_name: str, topic: str, callback: Callable[[Message], None], *,
        qos: str, depth: int, counters: MessageCounters, group: CallbackGroup | None = None,
    ) -> None:
        """Subscribe.

        ``qos``: ``auto`` or a name that :func:`.topics.qos_profile` takes; ``depth``: samples
        kept; ``counters`` count what ``callback`` raises.  Users may set
        ``qos_overrides.<topic>.subscription.…``.  Raises :class:`MessageTypeError` where
        the message's package is not installed, :class:`ParameterError` for a wrong override.
        """
        self.type_name = type_name
        self.topic = str(node.resolve_topic_name(topic))
        self.problem = ""
        self.received = 0  # messages whose callback has ended, those that it refused as well
        self._node = node
        self._message = ROS(type_name)
        self._callback, self._counters = callback, counters
        self._choice, self._depth, self._group = qos, depth, group
        self._overrides = qos_overrides(node, self.topic)
        self._subscription: Any = None
        self._qos, self._why = self._choose()
        self._subscribe()

    def describe(self) -> str:
        """Topic, type and quality of service, as they are in effect."""
        qos = self._qos.reliability.name.lower().replace("_", " ")
        if self._qos.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            qos += ", latched"
        why = f" ({self._why})" if self._why else ""
        return f"{self.topic} ({self.type_name}), {qos}{why}, depth {self._qos.depth}"

    def follow(self) -> None:
        """Subscribe anew where the publishers' offers ask for it; note who cannot be heard."""
        qos, why = self._choose()
        before, self._qos, self._why = self._qos, qos, why
        if (qos.reliability, qos.durability) != (before.reliability, before.durability):
            self.destroy()
            self._subscribe()
        problem = self._mismatch()
        if problem and problem != self.problem:
            self._node.get_logger().warning(problem)
        self.problem = problem

    def _take(self, msg: Message) -> None:
        """What the callback raises is counted, and refuses that one message only."""
        try:
            self._callback(msg)
        except Exception as error:
            self._counters.refuse(error, f"message on {self.topic}")
        self.received += 1

    def destroy(self) -> None:
        """Unsubscribe, for good."""
        self._node.destroy_subscription(self._subscription)

    def _offers(self) -> list[QoSProfile]:
        return [
            info.qos_profile for info in self._node.get_publishers_info_by_topic(self.topic)
        ]

    def _mismatch(self) -> str:
        """One message about a publisher that is not heard; "" where all are."""
        for offer in self._offers():
            compatible, reason = qos_check_compatible(offer, self._qos)
            if compatible != QoSCompatibility.ERROR:
                continue
            if offer.reliability == ReliabilityPolicy.BEST_EFFORT:
                reason = "it sends best effort and this side asks for reliable; use auto"
            return f"a publisher on {self.topic} will not be heard: {reason}"
        return ""

    def _choose(self) -> tuple[QoSProfile, str]:
        """The profile to use now, and in words why."""
        auto = self._choice == "auto"
        qos = qos_profile("sensor_data" if auto else self._choice, self._depth)
        for policy, value in self._overrides.items():
            setattr(qos, policy, value)
        if "reliability" in self._overrides:
            return qos, "by qos_overrides"
        if not auto:
            return qos, ""
        offers = self._offers()
        if not offers:
            # Who left may come back as it was.
            first = self._subscription is None
            qos.reliability = ReliabilityPolicy.RELIABLE if first else self._qos.reliability
            qos.durability = qos.durability if first else self._qos.durability
            return qos, "auto: no publisher yet"
        if all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in offers):
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        if all(one.reliability == ReliabilityPolicy.RELIABLE for one in offers):
            qos.reliability = ReliabilityPolicy.RELIABLE
            return qos, "auto: every publisher is"
        return qos, "auto: not every publisher is reliable"

    def _subscribe(self) -> None:
        self._subscription = self._node.create_subscription(
            self._message, self.topic, self._take, self._qos, callback_group=self._group,
            # What they would tell, _mismatch sees on the graph; and an executor may stumble
            # over event handlers that are destroyed with their subscription.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._node.get_logger().info(f"subscribed to {self.describe()}")
