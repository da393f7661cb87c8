"""What all conversions share: message classes, stamps, diagnostics, and messages of no use.

Message classes are handed in: ``avs run`` hands in those of rosbags (``BAG`` of
:mod:`avs_ros.media.bag_types`), the nodes those of the ROS 2 installation (``ROS`` of
``avs_ros.nodes.message_types``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError, AvsError, ImageFormatError

# Message classes are generated on the machine that runs ROS 2: no checker can know their fields.
Message: TypeAlias = Any


class MessageTypes(Protocol):
    """Message classes by name, and arrays in the form that their fields take."""

    def __call__(self, type_name: str) -> Any:
        """The class called ``package/msg/Name``; fields left out of its call are zero or empty.

        Raises :class:`~avs_ros.errors.MessageTypeError` where it is not known.
        """
        ...

    def array(self, values: NDArray[Any]) -> Any:
        """``values`` (float64, float32, int16 or uint8, any shape), flat, for an array field."""
        ...


NANOSECONDS = 1_000_000_000


def stamp_to_ns(stamp: Message) -> int:
    """``builtin_interfaces/Time`` (``sec`` int32, ``nanosec`` uint32) -> nanoseconds."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(types: MessageTypes, stamp_ns: int) -> Message:
    """Nanoseconds -> ``builtin_interfaces/Time``."""
    sec, nanosec = divmod(int(stamp_ns), NANOSECONDS)
    return types("builtin_interfaces/msg/Time")(sec=sec, nanosec=nanosec)


def make_header(types: MessageTypes, stamp_ns: int, frame_id: str = "") -> Message:
    """``std_msgs/Header`` with this stamp (nanoseconds) and frame."""
    return types("std_msgs/msg/Header")(stamp=ns_to_stamp(types, stamp_ns), frame_id=frame_id)


class _Malformed(AvsError):
    def __init__(self, reason: str, message: str) -> None:
        """Keep the ``reason`` (for counting) beside the ``message`` (for reading)."""
        super().__init__(message)
        self.reason = reason


class MalformedImage(_Malformed, ImageFormatError):
    """An image message whose fields do not fit together; ``reason`` names the counter."""


class MalformedAudio(_Malformed, AudioFormatError):
    """A sound message whose fields do not fit together; ``reason`` names the counter."""


def reason_of(error: AvsError) -> str:
    """Name the counter of ``error``: its own reason, else its class name in lower case."""
    return str(getattr(error, "reason", type(error).__name__.lower()))


# A `byte` field is a bytes object in rclpy; comparing it with a number is silently false.
OK, WARN, ERROR, STALE = b"\x00", b"\x01", b"\x02", b"\x03"


@dataclass(frozen=True)
class Status:
    """One status of a diagnostics page; ``level``: OK, WARN, ERROR or STALE."""

    name: str
    level: bytes
    message: str
    values: Mapping[str, str] = field(default_factory=dict)
    hardware_id: str = ""


def make_diagnostics(
    types: MessageTypes, stamp_ns: int, statuses: Sequence[Status]
) -> Message:
    """``diagnostic_msgs/DiagnosticArray`` of what is known at ``stamp_ns``."""
    key_value = types("diagnostic_msgs/msg/KeyValue")
    kind = types("diagnostic_msgs/msg/DiagnosticStatus")
    # The class's own constants: bytes objects in rclpy, numbers in rosbags.
    levels = (kind.OK, kind.WARN, kind.ERROR, kind.STALE)
    return types("diagnostic_msgs/msg/DiagnosticArray")(
        header=make_header(types, stamp_ns),
        status=[
            kind(
                level=levels[one.level[0]], name=one.name, message=one.message,
                hardware_id=one.hardware_id,
                values=[key_value(key=key, value=value) for key, value in one.values.items()],
            )
            for one in statuses
        ],
    )
