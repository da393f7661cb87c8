"""What a ROS 2 interface looks like: fields, constants, type hash and DDS type name.

Definitions come from the type store of rosbags (ROS 2 Jazzy) and from ``definitions``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from avs_ros.errors import MiddlewareError

from . import definitions

FILLER = "structure_needs_at_least_one_member"
"""ROS 2 gives an empty message one ``uint8`` of this name, because DDS has no empty structs."""

TYPE_CODES = {
    "bool": "?", "byte": "B", "char": "B", "int8": "b", "uint8": "B", "int16": "h",
    "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f",
    "float64": "d",
}
"""Primitive name -> code of ``struct`` and ``array``."""

_IDL_NAMES = {"bool": "boolean", "byte": "octet", "char": "uint8", "float32": "float",
              "float64": "double"}


@dataclass(frozen=True)
class Field:
    """One field.

    ``base`` is a key of ``TYPE_CODES``, ``"string"``, or a full message name.  ``kind`` is
    ``"single"``, ``"array"`` (exactly ``size`` elements) or ``"sequence"`` (at most ``size``,
    0: unbounded).  ``string_bound`` limits strings in bytes (0: unbounded).
    """

    name: str
    base: str
    kind: str = "single"
    size: int = 0
    string_bound: int = 0

    @property
    def is_message(self) -> bool:
        """Whether the elements are messages themselves."""
        return "/" in self.base

    @property
    def is_numeric(self) -> bool:
        """Whether the elements are numbers that live in an ``array`` (not bool, byte, string)."""
        return self.base in TYPE_CODES and self.base not in ("bool", "byte")

    def declaration(self) -> str:
        """Give the type as rclpy's ``get_fields_and_field_types`` spells it."""
        if self.is_message:
            package, _, name = self.base.split("/")
            base = f"{package}/{name}"
        elif self.base == "string" and self.string_bound:
            base = f"string<{self.string_bound}>"
        else:
            base = _IDL_NAMES.get(self.base, self.base)
        if self.kind == "array":
            return f"{base}[{self.size}]"
        if self.kind == "sequence":
            return f"sequence<{base}, {self.size}>" if self.size else f"sequence<{base}>"
        return base


@dataclass(frozen=True)
class Schema:
    """One message: full name such as ``sensor_msgs/msg/Image``, fields, constants, defaults."""

    name: str
    fields: tuple[Field, ...]
    constants: dict[str, Any] = field(hash=False, default_factory=dict)
    defaults: dict[str, float] = field(hash=False, default_factory=dict)

    @property
    def dds_name(self) -> str:
        """Give the mangled name, ``sensor_msgs::msg::dds_::Image_``."""
        package, kind, name = self.name.split("/")
        return f"{package}::{kind}::dds_::{name}_"


class SchemaStore:
    """Schemas of one family of definitions, in which every nested name means one layout."""

    def __init__(self, messages: dict[str, str], services: dict[str, str]) -> None:
        """Take ROS 2 Jazzy's interfaces and add these (full name -> ``.msg``/``.srv`` text)."""
        self._store: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self._schemas: dict[str, Schema] = {}
        self.services: set[str] = set()
        parsed: dict[str, Any] = {}
        for name, text in messages.items():
            parsed.update(self._parse(name, text))
        for name, text in services.items():
            parsed.update(self._parse_service(name, text))
        self._store.register(parsed)

    def _parse(self, name: str, text: str) -> dict[str, Any]:
        parsed = get_types_from_msg(text, "placeholder/msg/Name")
        constants, fields = parsed["placeholder/msg/Name"]
        return {name: (constants, fields or [(FILLER, (Nodetype.BASE, ("uint8", 0)))])}

    def _parse_service(self, name: str, text: str) -> dict[str, Any]:
        request, _, response = text.partition("---")
        self.services.add(name)
        return {
            **self._parse(f"{name}_Request", request),
            **self._parse(f"{name}_Response", response),
        }

    def register(self, name: str, text: str) -> None:
        """Add a definition; raises ``MiddlewareError`` if the name means something else already.

        ``name`` is ``package/msg/Name`` with ``.msg`` text or ``package/srv/Name`` with ``.srv``.
        """
        parsed = (self._parse_service if "/srv/" in name else self._parse)(name, text)
        try:
            self._store.register(parsed)
        except Exception as error:
            raise MiddlewareError(f"definition of {name} cannot be used: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._store.fielddefs

    def names(self) -> list[str]:
        """Give every message name of this family."""
        return sorted(self._store.fielddefs)

    def schema(self, name: str) -> Schema:
        """Give the layout of one message; raises ``MiddlewareError`` for an unknown name."""
        if name not in self._schemas:
            if name not in self._store.fielddefs:
                raise MiddlewareError(
                    f"interface {name!r} is not known to the embedded middleware; install ROS 2 "
                    "and its package, or register the definition"
                )
            constants, fields = self._store.fielddefs[name]
            self._schemas[name] = Schema(
                name,
                tuple(_field(field_name, description) for field_name, description in fields),
                {key: _constant(base, value) for key, base, value in constants},
                definitions.DEFAULTS.get(name, {}),
            )
        return self._schemas[name]

    def type_hash(self, name: str) -> str:
        """Give the hash that ROS 2 (Iron and later) compares types by: ``RIHS01_<64 hex>``."""
        return self._store.hash_rihs01(name)


def _constant(base: str, value: Any) -> Any:
    return bytes([value]) if base == "byte" else value


def _field(name: str, description: Any) -> Field:
    node, detail = description
    if node == Nodetype.BASE:
        return Field(name, detail[0], string_bound=detail[1])
    if node == Nodetype.NAME:
        return Field(name, detail)
    (element_node, element), size = detail
    kind = "array" if node == Nodetype.ARRAY else "sequence"
    if element_node == Nodetype.NAME:
        return Field(name, element, kind, size)
    return Field(name, element[0], kind, size, element[1])


@lru_cache(maxsize=1)
def main_store() -> SchemaStore:
    """Give the family that every ordinary name belongs to."""
    return SchemaStore(definitions.MESSAGES, definitions.SERVICES)


@lru_cache(maxsize=1)
def second_audio_store() -> SchemaStore:
    """Give the family of mgonzs13/audio_common."""
    return SchemaStore(definitions.SECOND_AUDIO_FAMILY, {})


def store_of(name: str) -> SchemaStore:
    """Choose the family by the message's own name."""
    if name in ("audio_common_msgs/msg/AudioStamped", "audio_common_msgs/msg/Audio"):
        return second_audio_store()
    return main_store()
