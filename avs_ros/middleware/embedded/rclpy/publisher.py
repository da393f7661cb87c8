"""Sending messages."""

from __future__ import annotations

from typing import Any

from .. import cdr, dds
from .callback_groups import CallbackGroup
from .duration import Duration
from .endpoint import EndpointHandle
from .event_handler import PublisherEventCallbacks
from .qos import QoSProfile

_FOREVER_NS = 2**63 - 1


class Publisher:
    """Sends messages of one type to one topic; made by ``Node.create_publisher``."""

    def __init__(
        self,
        publisher_impl: EndpointHandle,
        msg_type: Any,
        topic: str,
        qos_profile: QoSProfile,
        event_callbacks: PublisherEventCallbacks,
        callback_group: CallbackGroup,
    ) -> None:
        self._handle = publisher_impl
        self.msg_type = msg_type
        self.topic = topic
        self.qos_profile = qos_profile
        self._resolved_topic = topic
        self.event_handlers = event_callbacks.create_event_handlers(
            callback_group, publisher_impl, topic
        )

    def publish(self, msg: Any) -> None:
        """Send a message, or CDR ``bytes`` as they are.

        Raises ``TypeError`` for a message of another type or with a value that its field cannot
        carry, ``RCLError`` after shutdown.
        """
        if isinstance(msg, self.msg_type):
            self._handle.write(cdr.serialize(msg))
        elif isinstance(msg, bytes):
            self._handle.write(msg)
        else:
            raise TypeError(f"Expected {self.msg_type}, got {type(msg)}")

    def get_subscription_count(self) -> int:
        """Give the number of subscriptions that receive what is published."""
        return self._handle.matched_count

    @property
    def topic_name(self) -> str:
        """The topic's absolute name after remapping."""
        return self._resolved_topic

    @property
    def handle(self) -> EndpointHandle:
        """What is below."""
        return self._handle

    def _handles(self) -> list[EndpointHandle]:
        return [self._handle]

    def destroy(self) -> None:
        """End it; use ``Node.destroy_publisher``."""
        for handler in self.event_handlers:
            handler.destroy()
        self._handle.destroy()

    def assert_liveliness(self) -> None:
        """Tell the subscriptions that this publisher is alive (liveliness by topic)."""
        self._handle.check()
        dds.assert_liveliness(self._handle.entity)

    def wait_for_all_acked(self, timeout: Duration = Duration(seconds=-1)) -> bool:  # noqa: B008
        """Wait until reliable subscriptions have everything; ``False`` after ``timeout``.

        A negative timeout waits for ever.
        """
        self._handle.check()
        nanoseconds = timeout.nanoseconds
        return dds.wait_for_acks(
            self._handle.entity, _FOREVER_NS if nanoseconds < 0 else nanoseconds
        )
