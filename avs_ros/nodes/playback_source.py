"""What the player needs to know about a recording: its calibration, when it starts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from avs_ros.conversions.messages import Message
from avs_ros.errors import ParameterError
from avs_ros.media.bag_files import is_bag

_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


def recorded_camera_info(path: Path) -> Message | None:
    """The first ``CameraInfo`` of a bag, as the bag's own message object; None without one."""
    if not is_bag(path):
        return None
    from avs_ros.media.bag_files import open_reader
    from avs_ros.media.bag_types import typestore_for

    with closing(open_reader(path)) as reader:
        connections = [c for c in reader.connections if c.msgtype == _CAMERA_INFO and c.msgcount]
        if not connections:
            return None  # rosbags takes an empty choice for every topic
        types = typestore_for(path, connections[:1])
        for connection, _, raw in reader.messages(connections[:1]):
            return types.deserialize_cdr(raw, connection.msgtype)
    return None


def start_stamp_ns(choice: str, now_ns: int, recorded_ns: int) -> int:
    """The stamp of the recording's first moment: ``now``, ``recorded`` or seconds as a number.

    Raises :class:`ParameterError` for anything else.
    """
    if choice == "now":
        return now_ns
    if choice == "recorded":
        return recorded_ns
    try:
        seconds = float(choice)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds < 2**31:
        raise ParameterError(
            f"parameter start_stamp is {choice!r}: expected now, recorded, or seconds above 0"
        )
    return round(seconds * 1e9)


def describe(source: Any) -> str:
    """One line about an open source for the log."""
    info = source.info
    return (
        f"{info.name}: {info.width} x {info.height} at {info.fps:.4g} Hz, sound "
        f"{info.audio_rate_hz} Hz x {info.audio_channels}, {info.duration_s:.1f} s"
    )
