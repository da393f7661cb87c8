"""Participants, readers and writers in the domain, as DDS's own discovery announces them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cyclonedds.builtin import (
    BuiltinDataReader,
    BuiltinTopicDcpsParticipant,
    BuiltinTopicDcpsPublication,
    BuiltinTopicDcpsSubscription,
)
from cyclonedds.core import DDSStatus, InstanceState, Policy, Qos

from . import wire_names
from .participant import Participant

_BATCH = 64
_BUILTIN_PREFIX = "DCPS"


@dataclass(frozen=True)
class Endpoint:
    """A reader or writer somewhere in the domain."""

    gid: bytes
    participant: bytes
    is_writer: bool
    topic: str
    type_name: str
    qos: Qos = field(compare=False, hash=False)
    user_data: dict[str, str] = field(compare=False, hash=False)


class DdsEntities:
    """Follows DDS's built-in topics; participants from the start, endpoints once asked for."""

    def __init__(
        self,
        participant: Participant,
        lock: threading.RLock,  # type: ignore[valid-type]
        on_change: Callable[[], object],
        on_participant_gone: Callable[[bytes], object],
    ) -> None:
        """Share ``lock`` with the owner; the callbacks run with it held, in any thread."""
        self._participant = participant
        self._lock: Any = lock
        self._on_change = on_change
        self._on_participant_gone = on_participant_gone
        self._enclaves: dict[bytes, str] = {}
        self._endpoints: dict[bytes, Endpoint] = {}
        self._readers: list[BuiltinDataReader] = []
        self._watch(BuiltinTopicDcpsParticipant, self._on_participant)

    def enclave(self, participant: bytes) -> str:
        """Give the enclave of a participant; empty if it is not known."""
        return self._enclaves.get(participant, "")

    def endpoints(self) -> list[Endpoint]:
        """Give every reader and writer that is known now."""
        with self._lock:
            # Only programs that ask pay for it; DDS hands a late reader everything it knows.
            if len(self._readers) == 1:
                self._watch(
                    BuiltinTopicDcpsPublication,
                    lambda one, alive: self._on_endpoint(one, alive, True),
                )
                self._watch(
                    BuiltinTopicDcpsSubscription,
                    lambda one, alive: self._on_endpoint(one, alive, False),
                )
            return list(self._endpoints.values())

    def _watch(self, topic: Any, callback: Callable[[Any, bool], None]) -> None:
        reader = BuiltinDataReader(self._participant.entity, topic)
        self._readers.append(reader)
        self._participant.watcher.watch(
            reader, DDSStatus.DataAvailable, lambda _: self._take(reader, callback)
        )
        # What is known already is there at once, before the watching thread has looked.
        self._take(reader, callback)

    def _take(self, reader: BuiltinDataReader, callback: Callable[[Any, bool], None]) -> None:
        with self._lock:
            while True:
                samples = reader.take(_BATCH)
                for sample in samples:
                    info = sample.sample_info
                    alive = info.instance_state == InstanceState.Alive and info.valid_data
                    callback(sample, alive)
                if samples:
                    self._on_change()
                if len(samples) < _BATCH:
                    return

    def _on_participant(self, sample: Any, alive: bool) -> None:
        gid = sample.key.bytes
        if alive:
            self._enclaves[gid] = _user_data(sample.qos).get("enclave", "")
        else:
            self._enclaves.pop(gid, None)
            self._on_participant_gone(gid)

    def _on_endpoint(self, sample: Any, alive: bool, is_writer: bool) -> None:
        gid = sample.key.bytes
        if not alive:
            self._endpoints.pop(gid, None)
            return
        if sample.topic_name.startswith(_BUILTIN_PREFIX):
            return  # DDS's own readers, through which this comes
        self._endpoints[gid] = Endpoint(
            gid, sample.participant_key.bytes, is_writer, sample.topic_name, sample.type_name,
            sample.qos, _user_data(sample.qos),
        )


def _user_data(qos: Qos) -> dict[str, str]:
    policy = qos[Policy.Userdata] if qos is not None and Policy.Userdata in qos else None
    return wire_names.parse_user_data(policy.data) if policy is not None else {}
