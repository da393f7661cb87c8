"""A DDS reader or writer as publishers, subscriptions, clients and services use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cyclonedds.core import DDSException, Policy

from .. import dds, wire_names
from ..messages import Message
from ..participant import Participant, gid_of
from .dds_qos import to_dds
from .exceptions import InvalidHandle, RCLError
from .qos import QoSProfile


class EndpointHandle:
    """One reader or writer: its DDS entity, its id on the network, and who hears its news."""

    def __init__(
        self,
        participant: Participant,
        dds_topic: str,
        cls: type[Message],
        profile: QoSProfile,
        *,
        is_writer: bool,
        logger_name: str,
        service_mark: dict[str, str] | None = None,
    ) -> None:
        """Create the entity; ``service_mark`` says that samples begin with a request id.

        Raises ``MiddlewareError`` when DDS refuses.
        """
        self._participant = participant
        self.message_class = cls
        self.is_writer = is_writer
        self.logger_name = logger_name
        data = wire_names.user_data(
            **(service_mark or {}), typehash=cls.store.type_hash(cls.schema.name)
        )
        create = participant.create_writer if is_writer else participant.create_reader
        self.entity: Any = create(
            dds_topic, cls, to_dds(profile, data, is_writer), service_mark is not None
        )
        self.gid = gid_of(self.entity)
        self._lock = threading.Lock()
        self._listeners: list[tuple[int, Callable[[], None]]] = []
        self._alive = True

    def add_listener(self, bit: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` (in the watching thread) whenever the status bit rises."""
        with self._lock:
            self._listeners.append((bit, callback))

    def start(self) -> None:
        """Let the listeners hear the news, including what happened since the entity was made."""
        self._participant.watcher.watch(
            self.entity,
            dds.WRITER_STATUSES if self.is_writer else dds.READER_STATUSES,
            self._on_status,
        )

    def _on_status(self, raised: int) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for bit, callback in listeners:
            if raised & bit:
                callback()

    def check(self) -> None:
        """Raise ``InvalidHandle`` after ``destroy``, ``RCLError`` after the context's shutdown."""
        if not self._alive:
            raise InvalidHandle("cannot use an endpoint that was destroyed")
        if self._participant.closed:
            raise RCLError("the context of this endpoint was shut down")

    def write(self, data: bytes | bytearray) -> None:
        """Send CDR bytes; raises what ``check`` raises, ``RCLError`` when DDS refuses."""
        self.check()
        try:
            dds.write(self.entity, data)
        except DDSException as error:
            self.check()
            raise RCLError(f"Failed to publish: {error}") from error

    def take(self) -> dds.Taken | None:
        """Remove the oldest sample with data, or ``None``; also ``None`` when it is all over."""
        while self._alive and not self._participant.closed:
            try:
                samples = dds.take(self.entity, 1)
            except DDSException:
                return None
            if not samples:
                return None
            if samples[0].valid:
                return samples[0]
        return None

    @property
    def matched_count(self) -> int:
        """How many peers this reader or writer is connected with."""
        self.check()
        entity = self.entity
        return len(
            entity.get_matched_subscriptions() if self.is_writer
            else entity.get_matched_publications()
        )

    def peer_mark(self, handle: int, key: str) -> str | None:
        """Give what the matched peer of that instance handle has written under ``key``."""
        describe = (
            self.entity.get_matched_subscription_data if self.is_writer
            else self.entity.get_matched_publication_data
        )
        try:
            peer = describe(handle)
        except DDSException:
            return None
        if peer is None or Policy.Userdata not in peer.qos:
            return None
        return wire_names.parse_user_data(peer.qos[Policy.Userdata].data).get(key)

    def peer_marks(self, key: str) -> set[str]:
        """Give what the matched peers have written under ``key``; those without are left out."""
        self.check()
        entity = self.entity
        handles = (
            entity.get_matched_subscriptions() if self.is_writer
            else entity.get_matched_publications()
        )
        marks = {self.peer_mark(handle, key) for handle in handles}
        return {mark for mark in marks if mark is not None}

    def destroy(self) -> None:
        """Delete the entity; a second call does nothing."""
        with self._lock:
            if not self._alive:
                return
            self._alive = False
            self._listeners.clear()
        self._participant.remove(self.entity)
