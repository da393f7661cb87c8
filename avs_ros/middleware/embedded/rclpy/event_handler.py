"""Events of publishers and subscriptions: incompatible QoS, matches, losses, deadlines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from cyclonedds.core import DDSStatus

from .callback_groups import CallbackGroup
from .dds_qos import policy_kind
from .event_info import (
    CountedInfo,
    MatchedInfo,
    QoSLivelinessChangedInfo,
    QoSLivelinessLostInfo,
    QoSMessageLostInfo,
    QoSOfferedDeadlineMissedInfo,
    QoSOfferedIncompatibleQoSInfo,
    QoSPublisherMatchedInfo,
    QoSRequestedDeadlineMissedInfo,
    QoSRequestedIncompatibleQoSInfo,
    QoSSubscriptionMatchedInfo,
)
from .logging import get_logger
from .qos import qos_policy_name_from_kind
from .waitable import Entity

if TYPE_CHECKING:
    from .endpoint import EndpointHandle


class UnsupportedEventTypeError(Exception):
    """An event that the runtime cannot report."""


class QoSPublisherEventType(IntEnum):
    """Events of a publisher."""

    RCL_PUBLISHER_OFFERED_DEADLINE_MISSED = 0
    RCL_PUBLISHER_LIVELINESS_LOST = 1
    RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS = 2
    RCL_PUBLISHER_INCOMPATIBLE_TYPE = 3
    RCL_PUBLISHER_MATCHED = 4


class QoSSubscriptionEventType(IntEnum):
    """Events of a subscription."""

    RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED = 0
    RCL_SUBSCRIPTION_LIVELINESS_CHANGED = 1
    RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS = 2
    RCL_SUBSCRIPTION_MESSAGE_LOST = 3
    RCL_SUBSCRIPTION_INCOMPATIBLE_TYPE = 4
    RCL_SUBSCRIPTION_MATCHED = 5


def _counted(kind: type[CountedInfo]) -> Callable[[Any], Any]:
    return lambda status: kind(status.total_count, status.total_count_change)


def _matched(kind: type[MatchedInfo]) -> Callable[[Any], Any]:
    return lambda status: kind(
        status.total_count, status.total_count_change,
        status.current_count, status.current_count_change,
    )


def _incompatible(status: Any) -> QoSRequestedIncompatibleQoSInfo:
    return QoSRequestedIncompatibleQoSInfo(
        status.total_count, status.total_count_change, policy_kind(status.last_policy_id)
    )


def _liveliness(status: Any) -> QoSLivelinessChangedInfo:
    return QoSLivelinessChangedInfo(
        status.alive_count, status.not_alive_count,
        status.alive_count_change, status.not_alive_count_change,
    )


_SOURCES: dict[str, tuple[int, str, Callable[[Any], Any]]] = {}
"""Event's name -> DDS status bit, the method that reads the status, and how to report it."""


def _source(event: IntEnum, bit: int, method: str, report: Callable[[Any], Any]) -> None:
    # By name: as numbers, events of publishers and subscriptions are the same.
    _SOURCES[event.name] = (bit, method, report)


_PUBLISHER, _SUBSCRIPTION = QoSPublisherEventType, QoSSubscriptionEventType
_source(_PUBLISHER.RCL_PUBLISHER_OFFERED_DEADLINE_MISSED, DDSStatus.OfferedDeadlineMissed,
        "get_offered_deadline_missed_status", _counted(QoSOfferedDeadlineMissedInfo))
_source(_PUBLISHER.RCL_PUBLISHER_LIVELINESS_LOST, DDSStatus.LivelinessLost,
        "get_liveliness_lost_status", _counted(QoSLivelinessLostInfo))
_source(_PUBLISHER.RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS, DDSStatus.OfferedIncompatibleQos,
        "get_offered_incompatible_qos_status", _incompatible)
_source(_PUBLISHER.RCL_PUBLISHER_MATCHED, DDSStatus.PublicationMatched,
        "get_publication_matched_status", _matched(QoSPublisherMatchedInfo))
_source(_SUBSCRIPTION.RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED,
        DDSStatus.RequestedDeadlineMissed,
        "get_requested_deadline_missed_status", _counted(QoSRequestedDeadlineMissedInfo))
_source(_SUBSCRIPTION.RCL_SUBSCRIPTION_LIVELINESS_CHANGED, DDSStatus.LivelinessChanged,
        "get_liveliness_changed_status", _liveliness)
_source(_SUBSCRIPTION.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS,
        DDSStatus.RequestedIncompatibleQos,
        "get_requested_incompatible_qos_status", _incompatible)
_source(_SUBSCRIPTION.RCL_SUBSCRIPTION_MESSAGE_LOST, DDSStatus.SampleLost,
        "get_sample_lost_status", _counted(QoSMessageLostInfo))
_source(_SUBSCRIPTION.RCL_SUBSCRIPTION_MATCHED, DDSStatus.SubscriptionMatched,
        "get_subscription_matched_status", _matched(QoSSubscriptionMatchedInfo))


class EventHandler(Entity):
    """Runs a callback with the newest report of one kind of event."""

    def __init__(
        self,
        *,
        callback_group: CallbackGroup,
        callback: Callable[[Any], Any],
        event_type: IntEnum,
        parent_impl: EndpointHandle,
    ) -> None:
        """Watch ``parent_impl``; raises ``UnsupportedEventTypeError`` for other events."""
        super().__init__(callback_group)
        if event_type.name not in _SOURCES:
            raise UnsupportedEventTypeError(f"{event_type.name} is not reported")
        self.callback = callback
        self.event_type = event_type
        self._lock = threading.Lock()
        self._pending: Any = None
        bit, self._method, self._report = _SOURCES[event_type.name]
        self._parent = parent_impl
        callback_group.add_entity(self)
        parent_impl.add_listener(bit, self._on_status)

    def _on_status(self) -> None:
        info = self._report(getattr(self._parent.entity, self._method)())
        with self._lock:
            self._pending = info if self._pending is None else _join(self._pending, info)
        self._wake()

    def _is_ready(self) -> bool:
        return self._pending is not None

    def _take(self) -> Callable[[], Any] | None:
        with self._lock:
            info, self._pending = self._pending, None
        return None if info is None else lambda: self.callback(info)

    def destroy(self) -> None:
        """End the callbacks."""
        self._destroyed = True
        self._pending = None


QoSEventHandler = EventHandler


def _join(earlier: Any, later: Any) -> Any:
    """Give the later report with the changes of both: nobody has seen the earlier one."""
    changes = {
        one.name: getattr(earlier, one.name) + getattr(later, one.name)
        for one in fields(later)
        if one.name.endswith("_change")
    }
    return replace(later, **changes)


def _handlers(
    group: CallbackGroup, handle: EndpointHandle, wanted: list[tuple[IntEnum, Any]]
) -> list[EventHandler]:
    return [
        EventHandler(
            callback_group=group, callback=callback, event_type=event, parent_impl=handle
        )
        for event, callback in wanted
        if callback is not None
    ]


class SubscriptionEventCallbacks:
    """Callbacks for the events of a subscription; each takes the event's info."""

    def __init__(
        self,
        *,
        deadline: Callable[[QoSRequestedDeadlineMissedInfo], None] | None = None,
        incompatible_qos: Callable[[QoSRequestedIncompatibleQoSInfo], None] | None = None,
        liveliness: Callable[[QoSLivelinessChangedInfo], None] | None = None,
        message_lost: Callable[[QoSMessageLostInfo], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSSubscriptionMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        """Take callbacks by event; by default incompatible QoS is logged as a warning.

        ``incompatible_type`` is accepted and never called: DDS keeps such topics apart silently.
        """
        self.deadline = deadline
        self.incompatible_qos = incompatible_qos
        self.liveliness = liveliness
        self.message_lost = message_lost
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def create_event_handlers(
        self, callback_group: CallbackGroup, subscription: EndpointHandle, topic_name: str
    ) -> list[EventHandler]:
        """Make the handlers for one subscription."""
        def warn(event: QoSRequestedIncompatibleQoSInfo) -> None:
            get_logger(subscription.logger_name).warning(
                f"New publisher discovered on topic '{topic_name}', offering incompatible QoS. "
                "No messages will be received from it. Last incompatible policy: "
                f"{qos_policy_name_from_kind(event.last_policy_kind)}"
            )

        events = QoSSubscriptionEventType
        return _handlers(callback_group, subscription, [
            (events.RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED, self.deadline),
            (events.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS,
             self.incompatible_qos or (warn if self.use_default_callbacks else None)),
            (events.RCL_SUBSCRIPTION_LIVELINESS_CHANGED, self.liveliness),
            (events.RCL_SUBSCRIPTION_MESSAGE_LOST, self.message_lost),
            (events.RCL_SUBSCRIPTION_MATCHED, self.matched),
        ])


class PublisherEventCallbacks:
    """Callbacks for the events of a publisher; each takes the event's info."""

    def __init__(
        self,
        *,
        deadline: Callable[[QoSOfferedDeadlineMissedInfo], None] | None = None,
        liveliness: Callable[[QoSLivelinessLostInfo], None] | None = None,
        incompatible_qos: Callable[[QoSOfferedIncompatibleQoSInfo], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSPublisherMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        """Take callbacks by event; by default incompatible QoS is logged as a warning.

        ``incompatible_type`` is accepted and never called: DDS keeps such topics apart silently.
        """
        self.deadline = deadline
        self.liveliness = liveliness
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def create_event_handlers(
        self, callback_group: CallbackGroup, publisher: EndpointHandle, topic_name: str
    ) -> list[EventHandler]:
        """Make the handlers for one publisher."""
        def warn(event: QoSOfferedIncompatibleQoSInfo) -> None:
            get_logger(publisher.logger_name).warning(
                f"New subscription discovered on topic '{topic_name}', requesting incompatible "
                "QoS. No messages will be sent to it. Last incompatible policy: "
                f"{qos_policy_name_from_kind(event.last_policy_kind)}"
            )

        events = QoSPublisherEventType
        return _handlers(callback_group, publisher, [
            (events.RCL_PUBLISHER_OFFERED_DEADLINE_MISSED, self.deadline),
            (events.RCL_PUBLISHER_LIVELINESS_LOST, self.liveliness),
            (events.RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS,
             self.incompatible_qos or (warn if self.use_default_callbacks else None)),
            (events.RCL_PUBLISHER_MATCHED, self.matched),
        ])
