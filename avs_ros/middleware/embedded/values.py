"""How array fields keep what they are given: by reference where bytes are bytes already.

An image's ``data`` may be set from ``bytes``, ``array``, ``ndarray`` or ``memoryview`` and is
never walked element by element.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .schema import TYPE_CODES, Field

_BUFFERS = (bytes, bytearray, memoryview, np.ndarray)


def octets(value: Any, code: str) -> array[int] | memoryview:
    """Give one-byte elements (``code`` ``B`` or ``b``) as ``array`` or ``memoryview``.

    An ``array`` of the code and every contiguous buffer are kept, not copied; a buffer that has
    gaps is copied once.  Raises ``TypeError`` for elements that are not bytes and
    ``OverflowError`` for list elements out of range.
    """
    if isinstance(value, array) and value.typecode == code:
        return value
    if not isinstance(value, (*_BUFFERS, array)):
        return array(code, _elements(value))
    if isinstance(value, np.ndarray) and not value.flags.c_contiguous:
        value = np.ascontiguousarray(value)
    view = memoryview(value)
    if view.itemsize != 1:
        raise TypeError(f"elements of {view.itemsize} bytes (format {view.format!r}), need one")
    if view.nbytes == 0:
        return array(code)
    if not view.c_contiguous:
        view = memoryview(view.tobytes())
    if view.format == code and view.ndim == 1:
        return view
    return view.cast("B").cast("b") if code == "b" else view.cast("B")


def numbers(value: Any, code: str) -> array[Any]:
    """Give wider elements as an ``array`` of ``code``; a buffer is copied as a whole.

    Raises ``TypeError`` where values would lose their meaning (float to int).
    """
    if isinstance(value, array) and value.typecode == code:
        return value
    result = array(code)
    if isinstance(value, (*_BUFFERS, array)) and not isinstance(value, (bytes, bytearray)):
        elements = np.asarray(value).astype(np.dtype(code), casting="same_kind", copy=False)
        result.frombytes(np.ascontiguousarray(elements).tobytes())
    else:
        result.extend(_elements(value))
    return result


def fixed_numbers(value: Any, code: str, size: int) -> np.ndarray:
    """Give exactly ``size`` elements as an ``ndarray``, or raise ``ValueError``."""
    if isinstance(value, (bytes, bytearray)):
        value = list(value)
    result = np.array(value, dtype=np.dtype(code))
    if result.shape != (size,):
        raise ValueError(f"needs exactly {size} elements, got shape {result.shape}")
    return result


def _elements(value: Any) -> Iterable[Any]:
    if isinstance(value, str):
        raise TypeError("a str is not a sequence of elements")
    return value


def elements(value: Any, field: Field) -> list[Any]:
    """Give strings, booleans, bytes or messages as a list; a list is kept."""
    if isinstance(value, (bytes, bytearray)) and field.base == "byte":
        value = [bytes([octet]) for octet in value]
    result = value if isinstance(value, list) else list(_elements(value))
    if field.kind == "array" and len(result) != field.size:
        raise ValueError(f"needs exactly {field.size} elements, got {len(result)}")
    return result


def converter(field: Field) -> Callable[[Any], Any]:
    """Choose how values that are set on an array field are kept."""
    if not field.is_numeric:
        return lambda value: elements(value, field)
    code = TYPE_CODES[field.base]
    if field.kind == "array":
        return lambda value: fixed_numbers(value, code, field.size)
    if code in "bB":
        return lambda value: octets(value, code)
    return lambda value: numbers(value, code)


def zero(field: Field, make_message: Callable[[str], Any]) -> Callable[[], Any]:
    """Choose how a field's first value is made."""
    if field.kind == "sequence":
        if field.is_numeric:
            code = TYPE_CODES[field.base]
            return lambda: array(code)
        return list
    one: Callable[[], Any]
    if field.is_message:
        one = make_message(field.base)
    else:
        value = {"string": "", "bool": False, "byte": b"\0", "float32": 0.0, "float64": 0.0}.get(
            field.base, 0
        )
        one = lambda: value  # noqa: E731
    if field.kind == "single":
        return one
    if field.is_numeric:
        dtype = np.dtype(TYPE_CODES[field.base])
        return lambda: np.zeros(field.size, dtype)
    return lambda: [one() for _ in range(field.size)]


def equal(left: Any, right: Any) -> bool:
    """Compare two field values by content, whatever holds them."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.array_equal(left, right)
    return bool(left == right)
