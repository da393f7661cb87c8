"""CDR, the wire form of DDS: messages to bytes and back (XCDR version 1, plain structs).

Works on the embedded message classes.  Bytes of a ``uint8[]`` are taken over in one piece when
written and become a view into the received sample when read.  Written by us little-endian; read in
both byte orders.  The test suite holds it against the codec of rosbags for every known type.
"""

from __future__ import annotations

from .cdr_reading import CdrError, message_getter
from .cdr_writing import HEADER, FieldValueError, message_putter, pad
from .messages import Message

_LITTLE_ENDIAN = b"\x00\x01\x00\x00"


def serialize(message: Message, prefix: bytes = b"") -> bytearray:
    """Give the message as CDR with its encapsulation header, padded to whole words.

    ``prefix`` (a multiple of 8 bytes) goes between the header and the message: the request id
    of services.  Raises ``FieldValueError`` (a ``TypeError``) naming the field that is wrong.
    """
    out = bytearray(_LITTLE_ENDIAN)
    out += prefix
    message_putter(type(message))(out, message)
    pad(out, 4)
    return out


def deserialize(data: bytes | memoryview, cls: type[Message], skip: int = 0) -> Message:
    """Read a message from CDR; its ``uint8[]`` fields are views into ``data``.

    ``skip`` (a multiple of 8) bytes behind the header are left out: the request id of services.
    Raises ``CdrError`` with the field at which the bytes stop making sense.
    """
    view = memoryview(data)
    if len(view) < HEADER or view[0] != 0 or view[1] > 1:
        kind = bytes(view[:2]).hex() or "missing"
        raise CdrError(f"{cls.schema.name}: encapsulation {kind} is not plain CDR")
    body = view[HEADER:]
    message, end = message_getter(cls, "<" if view[1] else ">")(body, skip)
    if len(body) - end > 3:
        raise CdrError(f"{cls.schema.name}: {len(body) - end} bytes are left over")
    return message  # type: ignore[no-any-return]


__all__ = ["HEADER", "CdrError", "FieldValueError", "deserialize", "serialize"]
