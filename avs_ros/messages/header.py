"""Header stamps: ``builtin_interfaces/Time`` <-> integer nanoseconds."""

from __future__ import annotations

from typing import Any, TypeAlias

from avs_ros.middleware import get_message

NANOSECONDS = 1_000_000_000
# Message classes are generated on the machine that runs ROS 2: no checker can know their fields.
Message: TypeAlias = Any


def stamp_to_ns(stamp: Message) -> int:
    """``builtin_interfaces/Time`` (``sec`` int32, ``nanosec`` uint32) -> nanoseconds."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Message:
    """Nanoseconds -> ``builtin_interfaces/Time``."""
    sec, nanosec = divmod(int(stamp_ns), NANOSECONDS)
    return get_message("builtin_interfaces/msg/Time")(sec=sec, nanosec=nanosec)


def make_header(stamp_ns: int, frame_id: str = "") -> Message:
    """``std_msgs/Header`` with this stamp (nanoseconds) and frame."""
    return get_message("std_msgs/msg/Header")(stamp=ns_to_stamp(stamp_ns), frame_id=frame_id)
