"""Plans that read the fields of a message class from CDR, in either byte order."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from avs_ros.errors import MiddlewareError

from .messages import Message
from .schema import TYPE_CODES, Field

Get = Callable[[memoryview, int], "tuple[Any, int]"]

_NATIVE_LITTLE = sys.byteorder == "little"


class CdrError(MiddlewareError):
    """Bytes that are not the message they are said to be."""


def _get_number(code: str, order: str) -> Get:
    unpack = struct.Struct(order + code).unpack_from
    size = struct.calcsize(order + code)

    def get(data: memoryview, at: int) -> tuple[Any, int]:
        at = (at + size - 1) & -size
        return unpack(data, at)[0], at + size

    return get


def _get_byte(data: memoryview, at: int) -> tuple[Any, int]:
    return bytes([data[at]]), at + 1


def _end(data: memoryview, at: int, size: int) -> int:
    if at + size > len(data):
        raise CdrError(f"{size} bytes announced at {at}, {max(len(data) - at, 0)} are there")
    return at + size


def _get_string(bound: int, order: str) -> Get:
    get_count = _get_number("I", order)

    def get(data: memoryview, at: int) -> tuple[Any, int]:
        count, at = get_count(data, at)
        end = _end(data, at, count)
        if bound and count > bound + 1:
            raise CdrError(f"string of {count - 1} bytes, at most {bound} are allowed")
        # Some implementations write an empty string as no bytes at all, without its terminator.
        return str(data[at : end - 1] if count else b"", "utf-8", "replace"), end

    return get


def _get_numbers(field: Field, order: str) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    code = TYPE_CODES[field.base]
    size = struct.calcsize("<" + code)
    swap = size > 1 and (order == "<") != _NATIVE_LITTLE

    def get(data: memoryview, at: int, count: int) -> tuple[Any, int]:
        if count:
            at = (at + size - 1) & -size
        end = _end(data, at, count * size)
        piece = data[at:end]
        if field.kind == "array":
            numbers = np.frombuffer(piece, np.dtype(code)).copy()
            return numbers.byteswap() if swap else numbers, end
        if size == 1 and count:
            return piece if code == "B" else piece.cast(code), end  # type: ignore[call-overload]
        result = array(code)
        result.frombytes(piece)
        if swap:
            result.byteswap()
        return result, end

    return get


def _get_elements(get_one: Get) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    def get(data: memoryview, at: int, count: int) -> tuple[Any, int]:
        # Each element takes a byte at least, so a count beyond that is refused before it costs.
        _end(data, at, count)
        result = []
        for _ in range(count):
            element, at = get_one(data, at)
            result.append(element)
        return result, at

    return get


def _get_field(field: Field, cls: type[Message], order: str) -> Get:
    get_one: Get
    if field.is_message:
        get_one = message_getter(cls.nested[field.base], order)
    elif field.base == "string":
        get_one = _get_string(field.string_bound, order)
    elif field.base == "byte":
        get_one = _get_byte
    else:
        get_one = _get_number(TYPE_CODES[field.base], order)
    if field.kind == "single":
        return get_one
    get_all = _get_numbers(field, order) if field.is_numeric else _get_elements(get_one)
    get_count = _get_number("I", order)

    def get(data: memoryview, at: int) -> tuple[Any, int]:
        if field.kind == "array":
            return get_all(data, at, field.size)
        count, at = get_count(data, at)
        if field.size and count > field.size:
            raise CdrError(f"{count} elements, at most {field.size} are allowed")
        return get_all(data, at, count)

    return get


_getters: dict[tuple[type[Message], str], Get] = {}


def message_getter(cls: type[Message], order: str) -> Get:
    """Give the plan of a class for ``<`` or ``>``; it raises ``CdrError`` naming the field."""
    if (cls, order) not in _getters:
        _getters[cls, order] = _make_getter(cls, order)
    return _getters[cls, order]


def _make_getter(cls: type[Message], order: str) -> Get:
    plan = [(field.name, _get_field(field, cls, order)) for field in cls.schema.fields]

    def get(data: memoryview, at: int) -> tuple[Any, int]:
        contents = []
        for name, get_field in plan:
            try:
                value, at = get_field(data, at)
            except (CdrError, struct.error, IndexError, ValueError) as error:
                raise CdrError(f"{cls.schema.name}.{name}: {error}") from error
            contents.append(value)
        return cls.from_storage(contents), at

    return get
