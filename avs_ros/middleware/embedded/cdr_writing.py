"""Plans that write the fields of a message class as CDR, little-endian."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .messages import Message
from .schema import TYPE_CODES, Field

HEADER = 4
"""Bytes of the encapsulation header; alignment counts from behind it."""

Put = Callable[[bytearray, Any], None]

_ZEROS = tuple(bytes(count) for count in range(8))
_NATIVE_LITTLE = sys.byteorder == "little"


class FieldValueError(TypeError):
    """A message holds a value that its field cannot carry."""


def pad(out: bytearray, size: int) -> None:
    """Fill up with zeros to a multiple of ``size`` (1, 2, 4, 8) behind the header."""
    missing = (HEADER - len(out)) & (size - 1)
    if missing:
        out += _ZEROS[missing]


def _put_number(code: str) -> Put:
    packer = struct.Struct("<" + code)
    size = packer.size

    def put(out: bytearray, value: Any) -> None:
        if size > 1:
            pad(out, size)
        out += packer.pack(value)

    return put


def _put_byte(out: bytearray, value: Any) -> None:
    if not isinstance(value, (bytes, bytearray)) or len(value) != 1:
        raise TypeError(f"a byte field takes one byte such as b'\\x00', not {value!r}")
    out += value


_put_count = _put_number("I")


def _put_string(bound: int) -> Put:
    def put(out: bytearray, value: Any) -> None:
        if not isinstance(value, str):
            raise TypeError(f"expected str, got {type(value).__name__}")
        data = value.encode()
        if bound and len(data) > bound:
            raise ValueError(f"string of {len(data)} bytes, at most {bound} are allowed")
        _put_count(out, len(data) + 1)
        out += data
        out += b"\0"

    return put


def _put_numbers(field: Field) -> Put:
    code = TYPE_CODES[field.base]
    size = struct.calcsize("<" + code)
    swap = not _NATIVE_LITTLE and size > 1

    def put(out: bytearray, value: Any) -> None:
        if len(value) and size > 1:
            pad(out, size)
        if swap:
            out += np.asarray(value).byteswap().tobytes()
        else:
            out += memoryview(value).cast("B") if len(value) else b""

    return put


def _put_elements(put_one: Put) -> Put:
    def put(out: bytearray, value: Any) -> None:
        for element in value:
            put_one(out, element)

    return put


def _put_field(field: Field, cls: type[Message]) -> Put:
    put_one: Put
    if field.is_message:
        put_one = message_putter(cls.nested[field.base])
    elif field.base == "string":
        put_one = _put_string(field.string_bound)
    elif field.base == "byte":
        put_one = _put_byte
    else:
        put_one = _put_number(TYPE_CODES[field.base])
    if field.kind == "single":
        return put_one
    put_all = _put_numbers(field) if field.is_numeric else _put_elements(put_one)

    def put(out: bytearray, value: Any) -> None:
        if field.kind == "sequence":
            if field.size and len(value) > field.size:
                raise ValueError(f"{len(value)} elements, at most {field.size} are allowed")
            _put_count(out, len(value))
        elif len(value) != field.size:
            raise ValueError(f"{len(value)} elements, exactly {field.size} are needed")
        put_all(out, value)

    return put


_putters: dict[type[Message], Put] = {}


def message_putter(cls: type[Message]) -> Put:
    """Give the plan of a class; it raises ``FieldValueError`` naming the field."""
    if cls not in _putters:
        _putters[cls] = _make_putter(cls)
    return _putters[cls]


def _make_putter(cls: type[Message]) -> Put:
    plan = [
        (field.name, slot, _put_field(field, cls))
        for field, slot in zip(cls.schema.fields, cls.storage)
    ]

    def put(out: bytearray, message: Any) -> None:
        if type(message) is not cls:
            raise TypeError(f"expected {cls.schema.name}, got {type(message).__name__}")
        for name, slot, put_field in plan:
            try:
                put_field(out, getattr(message, slot))
            except FieldValueError:
                raise
            except (struct.error, TypeError, ValueError, OverflowError) as error:
                raise FieldValueError(f"{cls.schema.name}.{name}: {error}") from error

    return put
