"""Messages as CDR bytes, for tools that store or forward them."""

from __future__ import annotations

from typing import Any

from .. import cdr


def serialize_message(message: Any) -> bytes:
    """Give the message as CDR; raises ``TypeError`` for values its fields cannot carry."""
    return bytes(cdr.serialize(message))


def deserialize_message(serialized_message: bytes, message_type: Any) -> Any:
    """Read a message of ``message_type``; raises ``CdrError`` if the bytes are not one."""
    return cdr.deserialize(serialized_message, message_type)
