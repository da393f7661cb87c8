"""Type declarations for DDS: name and type object of a topic, so that peers recognise it.

Data never goes through them (see ``dds`` and ``cdr``).
"""

from __future__ import annotations

from typing import Any

from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import annotations as idl_annotations
from cyclonedds.idl import types as idl_types

from .messages import Message
from .schema import Field

# Its generics are made at run time; type checkers cannot follow them.
_types: Any = idl_types

# ROS 2 declares byte and char as uint8 in its type objects too.
_PRIMITIVES: dict[str, Any] = {
    "bool": bool,
    **dict.fromkeys(("byte", "char", "uint8"), _types.uint8),
    **{
        name: getattr(_types, name)
        for name in ("int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32",
                     "float64")
    },
}

REQUEST_ID: dict[str, Any] = {
    "request_writer": _types.uint64,
    "request_sequence": _types.int64,
}
"""What precedes each service sample: the client's number and the number of its request."""

_declared: dict[tuple[type[Message], bool], type[IdlStruct]] = {}


def _element(field: Field, cls: type[Message]) -> Any:
    if field.is_message:
        return idl_type(cls.nested[field.base])
    if field.base == "string":
        return _types.bounded_str[field.string_bound] if field.string_bound else str
    return _PRIMITIVES[field.base]


def _member(field: Field, cls: type[Message]) -> Any:
    element = _element(field, cls)
    if field.kind == "array":
        return _types.array[element, field.size]
    if field.kind == "sequence":
        return _types.sequence[element, field.size] if field.size else _types.sequence[element]
    return element


def idl_type(cls: type[Message], with_request_id: bool = False) -> type[IdlStruct]:
    """Declare ``cls`` to DDS as a final struct; ``with_request_id``: as samples of a service."""
    key = (cls, with_request_id)
    if key not in _declared:
        members = {field.name: _member(field, cls) for field in cls.schema.fields}
        name = cls.schema.dds_name
        struct = make_idl_struct(
            name.rpartition("::")[2],
            name.replace("::", "."),
            {**REQUEST_ID, **members} if with_request_id else members,
        )
        idl_annotations.final(struct)
        idl_annotations.autoid("sequential")(struct)
        _declared[key] = struct
    return _declared[key]
