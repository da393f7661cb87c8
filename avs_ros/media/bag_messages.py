"""Message classes for bags: those of rosbags, whose fields may be left out as in ROS 2."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import MessageTypeError
from avs_ros.media.bag_types import SECOND_AUDIO, known_types

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
        name = what[0]
        return "" if name == "string" else np.zeros((), _dtype(name))[()].item()
    (inner, inner_what), length = what
    count = length if node == Nodetype.ARRAY else 0
    if inner == Nodetype.BASE and inner_what[0] != "string":
        return np.zeros(count, _dtype(inner_what[0]))
    return [_default(what[0], second_audio) for _ in range(count)]


def _dtype(name: str) -> str:
    return {"byte": "uint8", "char": "uint8", "octet": "uint8"}.get(name, name)


BAG = BagMessages()
