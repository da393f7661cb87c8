"""The few calls into Cyclone DDS that its Python binding does not offer in public.

The binding's own (de)serialiser walks images byte by byte; these calls move the CDR bytes
themselves.  ``dds_write`` and the waitset are called through ``ctypes``, which releases the
interpreter's lock while they run; ``ddspy_take`` is the function that the binding's own
``DataReader.take`` ends in.  A test holds every name used here against the installed release.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from cyclonedds import _clayer
from cyclonedds.core import DDSException, DDSStatus, Entity
from cyclonedds.internal import DDS

ANY_STATE = 0x7F
"""Sample, view and instance state mask that matches every sample."""

READER_STATUSES = (
    DDSStatus.DataAvailable
    | DDSStatus.SubscriptionMatched
    | DDSStatus.RequestedIncompatibleQos
    | DDSStatus.RequestedDeadlineMissed
    | DDSStatus.LivelinessChanged
    | DDSStatus.SampleLost
)
WRITER_STATUSES = (
    DDSStatus.PublicationMatched
    | DDSStatus.OfferedIncompatibleQos
    | DDSStatus.OfferedDeadlineMissed
    | DDSStatus.LivelinessLost
)


class Taken(NamedTuple):
    """One sample from a reader: CDR ``data`` with its encapsulation header, and its origin.

    ``valid`` is false for a mere change of state (a writer went away), which has no data.
    ``stamp_ns`` is the writer's clock at the write; ``writer`` is the writer's instance handle.
    """

    data: bytes
    valid: bool
    stamp_ns: int
    writer: int


# The binding sets argument types on its own handle; a second one keeps ours apart from them.
_lib = ctypes.CDLL(DDS._dll_handle._name)


class _Payload(ctypes.Structure):
    """What the binding's serialiser takes for a sample: a pointer to CDR bytes and their count."""

    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _function(name: str, *arguments: Any) -> Any:
    function = getattr(_lib, name)
    function.argtypes = arguments
    function.restype = ctypes.c_int32
    return function


_entity = ctypes.c_int32
_write = _function("dds_write", _entity, ctypes.POINTER(_Payload))
_take_status = _function(
    "dds_take_status", _entity, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint32
)
_set_status_mask = _function("dds_set_status_mask", _entity, ctypes.c_uint32)
_instance_handle = _function(
    "dds_get_instance_handle", _entity, ctypes.POINTER(ctypes.c_uint64)
)
_assert_liveliness = _function("dds_assert_liveliness", _entity)
_wait_for_acks = _function("dds_wait_for_acks", _entity, ctypes.c_int64)
_create_waitset = _function("dds_create_waitset", _entity)
_create_guard = _function("dds_create_guardcondition", _entity)
_set_guard = _function("dds_set_guardcondition", _entity, ctypes.c_bool)
_attach = _function("dds_waitset_attach", _entity, _entity, ctypes.c_ssize_t)
_detach = _function("dds_waitset_detach", _entity, _entity)
_wait = _function(
    "dds_waitset_wait", _entity, ctypes.POINTER(ctypes.c_ssize_t), ctypes.c_size_t, ctypes.c_int64
)
_delete = _function("dds_delete", _entity)


def _check(code: int, doing: str) -> int:
    if code < 0:
        raise DDSException(code, doing)
    return code


def write(writer: Entity, data: bytes | bytearray) -> None:
    """Send one sample that is CDR already; raises ``DDSException`` when DDS refuses it.

    The interpreter's lock is free while DDS copies and sends, so other threads run on.
    """
    if len(data) % 4:
        data = bytes(data).ljust((len(data) + 3) & ~3, b"\0")
    if isinstance(data, bytearray):
        address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    else:
        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
    payload = _Payload(address, len(data))
    _check(_write(writer._ref, ctypes.byref(payload)), "while writing a sample")


def take(reader: Entity, count: int = 1) -> list[Taken]:
    """Remove up to ``count`` samples from a reader's history, oldest first."""
    result = _clayer.ddspy_take(reader._ref, ANY_STATE, count)
    if isinstance(result, int):
        if result == DDSException.DDS_RETCODE_NO_DATA:
            return []
        raise DDSException(result, "while taking samples")
    return [
        Taken(data, bool(info.valid_data), info.source_timestamp, info.publication_handle)
        for data, info in result
    ]


def take_status(entity: Entity | int, mask: int) -> int:
    """Give the status bits within ``mask`` that are raised, and lower them; 0 if it is gone."""
    status = ctypes.c_uint32()
    reference = entity if isinstance(entity, int) else entity._ref
    if _take_status(reference, ctypes.byref(status), mask) < 0:
        return 0
    return status.value


def set_status_mask(entity: Entity, mask: int) -> None:
    """Choose which statuses of ``entity`` wake a waitset."""
    _check(_set_status_mask(entity._ref, mask), "while choosing statuses")


def instance_handle(entity: Entity) -> int:
    """Give the number by which samples name this writer (unsigned 64 bit)."""
    handle = ctypes.c_uint64()
    _check(_instance_handle(entity._ref, ctypes.byref(handle)), "while asking for a handle")
    return handle.value


def assert_liveliness(writer: Entity) -> None:
    """Tell the readers that this writer is alive."""
    _check(_assert_liveliness(writer._ref), "while asserting liveliness")


def wait_for_acks(writer: Entity, timeout_ns: int) -> bool:
    """Wait until every reliable reader has everything; ``False`` after ``timeout_ns``."""
    code = _wait_for_acks(writer._ref, timeout_ns)
    if code == DDSException.DDS_RETCODE_TIMEOUT:
        return False
    _check(code, "while waiting for acknowledgements")
    return True


def delete(entity: Entity) -> None:
    """Delete an entity now, not when Python collects it; a second call does nothing."""
    if Entity._entities.pop(entity._ref, None) is not None:
        _delete(entity._ref)


class WaitSet:
    """Entities one thread waits for, and a guard with which others wake it."""

    _CAPACITY = 64

    def __init__(self, participant: Entity) -> None:
        self._set = _check(_create_waitset(participant._ref), "while creating a waitset")
        self._guard = _check(_create_guard(participant._ref), "while creating a guard")
        _check(_attach(self._set, self._guard, 0), "while attaching a guard")
        self._triggered = (ctypes.c_ssize_t * self._CAPACITY)()

    def attach(self, entity: Entity) -> None:
        """Wait for ``entity`` too; ``wait`` names it by its reference."""
        _check(_attach(self._set, entity._ref, entity._ref), "while attaching to a waitset")

    def detach(self, entity: Entity) -> None:
        """Do not wait for ``entity`` any more; nothing happens if it is gone already."""
        _detach(self._set, entity._ref)

    def wait(self, timeout_ns: int) -> list[int]:
        """Sleep until something happens; references of what did (empty: woken or timed out)."""
        count = _check(
            _wait(self._set, self._triggered, self._CAPACITY, timeout_ns), "while waiting"
        )
        _set_guard(self._guard, False)
        return [ref for ref in self._triggered[: min(count, self._CAPACITY)] if ref]

    def wake(self) -> None:
        """Make ``wait`` return in the other thread."""
        _set_guard(self._guard, True)

    def close(self) -> None:
        """Delete the waitset; no thread may be in ``wait``."""
        _delete(self._set)
        _delete(self._guard)
