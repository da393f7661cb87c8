"""Message and service classes with rclpy's behaviour, made from their schemas."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import values
from .schema import FILLER, Field, Schema, SchemaStore

_LONGEST_REPR = 16


class Message:
    """Base of every message class: keyword constructor, defaults, comparison, text form."""

    __slots__ = ()
    schema: ClassVar[Schema]
    store: ClassVar[SchemaStore]
    nested: ClassVar[dict[str, type[Message]]]
    storage: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[tuple[tuple[str, Callable[[], Any]], ...]]

    def __init__(self, **kwargs: Any) -> None:
        """Set the fields given by name; raises ``TypeError`` for a field that does not exist."""
        for name, make in self._defaults:
            setattr(self, name, make())
        for name, value in kwargs.items():
            if name not in type(self)._field_types:
                raise TypeError(
                    f"{self.schema.name} has no field {name!r}; it has "
                    f"{', '.join(type(self)._field_types) or 'none'}"
                )
            setattr(self, name, value)

    _field_types: ClassVar[dict[str, str]] = {}

    if TYPE_CHECKING:  # fields are known at run time only
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    @classmethod
    def from_storage(cls, contents: Sequence[Any]) -> Message:
        """Build a message from values that are stored as they are, in the order of fields."""
        message = cls.__new__(cls)
        for name, value in zip(cls.storage, contents):
            setattr(message, name, value)
        return message

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Give field name -> type, spelled as in rclpy (``sequence<uint8>``, ``double[9]``)."""
        return dict(cls._field_types)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            values.equal(getattr(self, name), getattr(other, name)) for name in self.storage
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Message:
        return self.from_storage(
            [_copy(getattr(self, name), memo) for name in self.storage]
        )

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{field.name}={_short(getattr(self, field.name))}"
            for field in self.schema.fields
            if field.name != FILLER
        )
        return f"{type(self).__module__}.{type(self).__name__}({fields})"


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, memoryview):
        return memoryview(value.tobytes()).cast(value.format)  # type: ignore[call-overload]
    return copy.deepcopy(value, memo)


def _short(value: Any) -> str:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return repr(value)
    if len(value) > _LONGEST_REPR:
        return f"<{len(value)} elements>"
    return repr(value.tolist() if isinstance(value, (np.ndarray, memoryview)) else value)


def _array_property(field: Field, slot: str) -> property:
    convert = values.converter(field)

    def get(message: Message) -> Any:
        return getattr(message, slot)

    def set_(message: Message, value: Any) -> None:
        try:
            setattr(message, slot, convert(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(f"{message.schema.name}.{field.name}: {error}") from error

    return property(get, set_)


def make_message_class(
    schema: Schema, store: SchemaStore, nested: dict[str, type[Message]]
) -> type[Message]:
    """Make the class of ``schema``; ``nested`` holds the classes of its message fields."""
    package, kind, name = schema.name.split("/")
    fields = schema.fields
    storage = tuple(f"_{f.name}" if f.kind != "single" else f.name for f in fields)
    defaults = []
    for field, slot in zip(fields, storage):
        make = values.zero(field, nested.__getitem__)
        if field.name in schema.defaults:
            value = schema.defaults[field.name]
            make = lambda value=value: value  # type: ignore[misc]  # noqa: E731
        defaults.append((slot, make))
    namespace: dict[str, Any] = {
        "__slots__": storage,
        "__module__": f"{package}.{kind}",
        "__doc__": f"ROS 2 interface {schema.name}.",
        "schema": schema,
        "store": store,
        "nested": nested,
        "storage": storage,
        "_defaults": tuple(defaults),
        "_field_types": {f.name: f.declaration() for f in fields if f.name != FILLER},
        **schema.constants,
    }
    for field, slot in zip(fields, storage):
        if slot != field.name:
            namespace[field.name] = _array_property(field, slot)
    return type(name, (Message,), namespace)


class Service:
    """Base of every service class; ``Request`` and ``Response`` are its message classes."""

    Request: ClassVar[type[Message]]
    Response: ClassVar[type[Message]]
    service_name: ClassVar[str]

    def __init__(self) -> None:
        raise NotImplementedError("a service is a type only: use its Request and Response")


def make_service_class(
    name: str, request: type[Message], response: type[Message]
) -> type[Service]:
    """Make the class of the service ``package/srv/Name``."""
    package, kind, short = name.split("/")
    return type(
        short,
        (Service,),
        {
            "__module__": f"{package}.{kind}",
            "__doc__": f"ROS 2 service {name}.",
            "service_name": name,
            "Request": request,
            "Response": response,
        },
    )
