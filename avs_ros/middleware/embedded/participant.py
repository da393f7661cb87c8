"""One DDS participant: its topics, readers and writers, and the thread that watches them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from cyclonedds.core import DDSException, Entity, Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter, Publisher
from cyclonedds.sub import DataReader, Subscriber
from cyclonedds.topic import Topic

from avs_ros.errors import MiddlewareError

from . import dds, domain
from .idl import idl_type
from .messages import Message

_log = logging.getLogger(__name__)

StatusCallback = Callable[[int], None]
"""Called in the watching thread with the status bits that rose; must return at once."""

_FOREVER_NS = 2**63 - 1
_JOIN_TIMEOUT_S = 5.0


class Watcher:
    """One thread that sleeps until DDS has news about any watched entity."""

    def __init__(self, participant: Entity, name: str) -> None:
        self._waitset = dds.WaitSet(participant)
        self._callbacks: dict[int, tuple[int, StatusCallback]] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def watch(self, entity: Entity, mask: int, callback: StatusCallback) -> None:
        """Call ``callback`` whenever statuses within ``mask`` rise on ``entity``."""
        with self._lock:
            self._callbacks[entity._ref] = (mask, callback)
        dds.set_status_mask(entity, mask)
        self._waitset.attach(entity)

    def forget(self, entity: Entity) -> None:
        """Stop watching; a callback that runs right now may still finish."""
        with self._lock:
            if self._callbacks.pop(entity._ref, None) is None:
                return
        self._waitset.detach(entity)

    def stop(self) -> None:
        """End the thread; afterwards no callback runs."""
        self._stopping = True
        self._waitset.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_TIMEOUT_S)
        if not self._thread.is_alive():
            self._waitset.close()

    def _run(self) -> None:
        while not self._stopping:
            try:
                references = self._waitset.wait(_FOREVER_NS)
            except DDSException as error:
                if not self._stopping:
                    _log.error("watching DDS entities ended: %s", error)
                return
            for reference in references:
                if self._stopping:
                    return
                self._report(reference)

    def _report(self, reference: int) -> None:
        with self._lock:
            entry = self._callbacks.get(reference)
        if entry is None:
            return
        mask, callback = entry
        raised = dds.take_status(reference, mask)
        if raised:
            try:
                callback(raised)
            except Exception:
                _log.exception("handling news from DDS failed")


class Participant:
    """A process's seat in a DDS domain."""

    def __init__(self, domain_id: int, enclave: str = "/") -> None:
        """Join the domain; raises ``MiddlewareError`` when DDS cannot (ports, interfaces)."""
        self.domain_id = domain_id
        self._closed = False
        self._lock = threading.Lock()
        domain.acquire(domain_id)
        try:
            self._participant = DomainParticipant(
                domain_id, Qos(Policy.Userdata(f"enclave={enclave};".encode()))
            )
        except DDSException as error:
            domain.release(domain_id)
            hint = (
                "; look at what CYCLONEDDS_URI says" if os.environ.get("CYCLONEDDS_URI")
                else "; is the network up, and are there not too many programs in this domain?"
            )
            raise MiddlewareError(f"cannot join DDS domain {domain_id}: {error}{hint}") from error
        self._publisher = Publisher(self._participant)
        self._subscriber = Subscriber(self._participant)
        self.gid = gid_of(self._participant)
        self.watcher = Watcher(self._participant, f"dds-{domain_id}")
        self._id_counter = 0

    @property
    def entity(self) -> DomainParticipant:
        """The DDS entity itself."""
        return self._participant

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def next_service_id(self) -> str:
        """Give an id that marks the reader and writer of one client or server as a pair."""
        with self._lock:
            self._id_counter += 1
            octets = self.gid[:12] + self._id_counter.to_bytes(4, "big")
        return ".".join(f"{octet:x}" for octet in octets)

    def create_writer(
        self, topic: str, cls: type[Message], qos: Qos, with_request_id: bool = False
    ) -> DataWriter:
        """Write ``cls`` to DDS topic ``topic``; raises ``MiddlewareError`` when DDS refuses."""
        return self._create(DataWriter, self._publisher, topic, cls, qos, with_request_id)

    def create_reader(
        self, topic: str, cls: type[Message], qos: Qos, with_request_id: bool = False
    ) -> DataReader:
        """Read ``cls`` from DDS topic ``topic``; raises ``MiddlewareError`` when DDS refuses."""
        return self._create(DataReader, self._subscriber, topic, cls, qos, with_request_id)

    def _create(
        self, kind: Any, parent: Entity, topic: str, cls: type[Message], qos: Qos, request: bool
    ) -> Any:
        if self._closed:
            raise MiddlewareError(f"cannot use topic {topic!r}: the context was shut down")
        try:
            return kind(parent, Topic(self._participant, topic, idl_type(cls, request)), qos)
        except DDSException as error:
            raise MiddlewareError(
                f"DDS refuses {cls.schema.name} on {topic!r}: {error}"
            ) from error

    def remove(self, entity: DataReader | DataWriter) -> None:
        """Delete a reader or writer and its topic; does nothing after ``close``."""
        self.watcher.forget(entity)
        if not self._closed:
            # Not under the lock: a writer lingers until its last samples are acknowledged.
            dds.delete(entity)
            dds.delete(entity.topic)

    def close(self) -> None:
        """Leave the domain; readers and writers go with it.  A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.watcher.stop()
        dds.delete(self._participant)
        domain.release(self.domain_id)


def gid_of(entity: Entity) -> bytes:
    """Give the 16 bytes that name a DDS entity on the network."""
    return entity.get_guid().bytes
