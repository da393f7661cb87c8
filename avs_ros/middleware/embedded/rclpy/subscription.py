"""Receiving messages."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from cyclonedds.core import DDSStatus

from .. import cdr
from .callback_groups import CallbackGroup
from .endpoint import EndpointHandle
from .event_handler import SubscriptionEventCallbacks
from .logging import get_logger
from .qos import QoSProfile
from .waitable import Entity

_COMPLAINT_PERIOD_S = 5.0


class Subscription(Entity):
    """Calls back with each message of a topic; made by ``Node.create_subscription``."""

    class CallbackType(Enum):
        """Which arguments the callback takes."""

        MessageOnly = 0
        WithMessageInfo = 1

    def __init__(
        self,
        subscription_impl: EndpointHandle,
        msg_type: Any,
        topic: str,
        callback: Callable[..., Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
        raw: bool,
        event_callbacks: SubscriptionEventCallbacks,
    ) -> None:
        super().__init__(callback_group)
        self._endpoint = subscription_impl
        self.msg_type = msg_type
        self.topic = topic
        self.callback = callback
        self.qos_profile = qos_profile
        self.raw = raw
        self._resolved_topic = topic
        self._data_waits = False
        self._malformed = 0
        self._last_complaint = float("-inf")
        self.event_handlers = event_callbacks.create_event_handlers(
            callback_group, subscription_impl, topic
        )
        subscription_impl.add_listener(DDSStatus.DataAvailable, self._on_data)

    @property
    def callback(self) -> Callable[..., Any]:
        """What is called: with the message, or with the message and its info."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        self._callback = value
        for count, kind in ((1, self.CallbackType.MessageOnly),
                            (2, self.CallbackType.WithMessageInfo)):
            try:
                inspect.signature(value).bind(*([object()] * count))
            except TypeError:
                continue
            self._callback_type = kind
            return
        raise RuntimeError(
            "Subscription.__init__(): callback should be either be callable with one argument"
            "(to get only the message) or two (to get message and message info)"
        )

    def _on_data(self) -> None:
        self._data_waits = True
        self._wake()

    def _is_ready(self) -> bool:
        return self._data_waits

    def _take(self) -> Callable[[], Any] | None:
        # Lowered before the look: a sample that arrives behind it raises the flag again.
        self._data_waits = False
        taken = self._endpoint.take()
        if taken is None:
            return None
        self._data_waits = True
        message: Any = taken.data
        if not self.raw:
            try:
                message = cdr.deserialize(taken.data, self.msg_type)
            except cdr.CdrError as error:
                self._complain(error)
                return None
        if self._callback_type is self.CallbackType.MessageOnly:
            return lambda: self._callback(message)
        info = {
            "source_timestamp": taken.stamp_ns,
            "received_timestamp": time.time_ns(),
            "publication_sequence_number": None,
            "reception_sequence_number": None,
        }
        return lambda: self._callback(message, info)

    def _complain(self, error: cdr.CdrError) -> None:
        self._malformed += 1
        now = time.monotonic()
        if now - self._last_complaint >= _COMPLAINT_PERIOD_S:
            self._last_complaint = now
            get_logger(self._endpoint.logger_name).error(
                f"malformed message on '{self._resolved_topic}' left out "
                f"({self._malformed} so far): {error}"
            )

    @property
    def malformed_count(self) -> int:
        """How many messages were left out because their bytes made no sense (embedded only)."""
        return self._malformed

    def get_publisher_count(self) -> int:
        """Give the number of publishers whose messages arrive here."""
        return self._endpoint.matched_count

    @property
    def topic_name(self) -> str:
        """The topic's absolute name after remapping."""
        return self._resolved_topic

    def _handles(self) -> list[EndpointHandle]:
        return [self._endpoint]

    def destroy(self) -> None:
        """End it; use ``Node.destroy_subscription``."""
        self._destroyed = True
        self._data_waits = False
        for handler in self.event_handlers:
            handler.destroy()
        self._endpoint.destroy()
