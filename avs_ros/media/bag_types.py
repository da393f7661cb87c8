"""Message types of bags: definitions (the bag's own first), and classes to write bags with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import BagError, MessageTypeError, optional

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

# The packages' own texts, fields only.  Two packages are called audio_common_msgs, whose types
# share names but not fields: ros_drivers and mgonzs13/audio_common 4.0.
_DEFINITIONS = Path(__file__).parents[1] / "data" / "msgs"
# Forms of a rosbag2 that are read and written.
STORAGES = ("mcap", "sqlite3")
SECOND_AUDIO = ("audio_common_msgs/msg/AudioStamped", "audio_common_msgs/msg/Audio")


@lru_cache(maxsize=2)
def known_types(second_audio: bool = False) -> Typestore:
    """ROS 2 Jazzy's types with vision_msgs, foxglove_msgs and one of the two audio_common_msgs.

    ``second_audio``: mgonzs13's family, whose names are those of ros-drivers with other fields.
    """
    optional("rosbags.typesys", "Reading and writing bags")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    parsed: dict[str, Any] = {}
    for folder in ("vision_msgs", "foxglove_msgs", "mgonzs13" if second_audio else "ros_drivers"):
        for file in (_DEFINITIONS / folder).rglob("*.msg"):
            name = f"{file.parents[1].name}/msg/{file.stem}"
            parsed.update(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    store.register(parsed)
    return store


def typestore_for(path: Path, connections: Iterable[Any]) -> Typestore:
    """A store that reads these connections' messages: the bag's own definitions come first.

    Only they are parsed, so a type elsewhere in the bag that no parser understands does no harm.
    Bags with the same definitions share a store: making one takes longer than reading a clip.
    """
    described = {(c.msgtype, c.msgdef.format.name, c.msgdef.data, c.topic) for c in connections}
    try:
        return _store(tuple(sorted(described)))
    except BagError as error:
        raise BagError(f"{path}: {error}") from error.__cause__


@lru_cache(maxsize=8)
def _store(described: tuple[tuple[str, str, str, str], ...]) -> Typestore:
    """``described``: type, format, text and topic of each connection."""
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    known = known_types(any(name in SECOND_AUDIO for name, *_ in described))
    parsed: dict[str, Any] = dict(known.fielddefs)
    for msgtype, form, text, topic in described:
        try:
            if form == "MSG":
                parsed.update(get_types_from_msg(text, msgtype))
            elif form == "IDL":
                separator = "=" * 80 + "\n"
                parts = text.split(separator) if text.startswith(separator) else [text]
                for part in filter(None, parts):
                    idl = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
                    parsed.update(get_types_from_idl(idl))
        except Exception as error:
            raise BagError(f"its definition of {msgtype} cannot be read ({error})") from error
        if msgtype not in parsed:
            raise BagError(
                f"{topic} is of type {msgtype}, whose definition is neither in the bag nor known"
            )
    store = get_typestore(Stores.EMPTY)
    store.register(parsed)
    return store


# Defaults other than zero that the packages define; the type store drops them.
_DEFAULTS = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}


class BagMessages:
    """:class:`~avs_ros.conversions.messages.MessageTypes` to write bags with, without ROS."""

    def __call__(self, type_name: str) -> Any:
        """The class called ``package/msg/Name``; raises :class:`MessageTypeError` for another."""
        return _message_class(type_name, type_name in SECOND_AUDIO)

    def array(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values``, flat: rosbags keeps arrays as NumPy does."""
        return np.ascontiguousarray(values).reshape(-1)


def serialize(message: Any, type_name: str) -> bytes:
    """CDR bytes (little endian, with their header) of a message of :class:`BagMessages`."""
    return bytes(known_types(type_name in SECOND_AUDIO).serialize_cdr(message, type_name))


@cache
def _message_class(type_name: str, second_audio: bool) -> Any:
    store = known_types(second_audio)
    if type_name not in store.types:
        raise MessageTypeError(f"message type {type_name} is not known: it cannot be written")
    base: Any = store.types[type_name]
    kinds = dict(store.fielddefs[type_name][1])
    own = _DEFAULTS.get(type_name, {})

    def initialise(self: Any, **fields: Any) -> None:
        for name, kind in kinds.items():
            if name not in fields:
                fields[name] = own[name] if name in own else _default(kind, second_audio)
        base.__init__(self, **fields)

    return type(base.__name__, (base,), {"__init__": initialise})


def _default(kind: Any, second_audio: bool) -> Any:
    """Zero of a field: ``kind`` is a node of rosbags' parse tree."""
    from rosbags.interfaces import Nodetype

    node, what = kind
    if node == Nodetype.NAME:
        return _message_class(what, second_audio)()
    if node == Nodetype.BASE:
        return "" if what[0] == "string" else _zeros(what[0], 1)[0].item()
    (inner, inner_what), length = what
    count = length if node == Nodetype.ARRAY else 0
    if inner == Nodetype.BASE and inner_what[0] != "string":
        return _zeros(inner_what[0], count)
    return [_default(what[0], second_audio) for _ in range(count)]


def _zeros(name: str, count: int) -> NDArray[Any]:
    return np.zeros(count, "uint8" if name in ("byte", "char", "octet") else name)


BAG = BagMessages()
