"""Header stamps: ``builtin_interfaces/Time`` <-> integer nanoseconds."""

from __future__ import annotations

from avs_ros.conversions.message_types import Message, MessageTypes

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
