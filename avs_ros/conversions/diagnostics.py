"""``diagnostic_msgs``: levels and key-value pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avs_ros.conversions.message_types import Message, MessageTypes

# A `byte` field is a bytes object in rclpy; comparing it with a number is silently false.
OK, WARN, ERROR, STALE = b"\x00", b"\x01", b"\x02", b"\x03"


def make_status(
    types: MessageTypes, name: str, level: bytes, message: str, values: Mapping[str, str],
    hardware_id: str = "",
) -> Message:
    """One ``diagnostic_msgs/DiagnosticStatus``; ``level``: OK, WARN, ERROR or STALE."""
    key_value = types("diagnostic_msgs/msg/KeyValue")
    status = types("diagnostic_msgs/msg/DiagnosticStatus")
    # The class's own constant: a bytes object in rclpy, a number in rosbags.
    own_level = (status.OK, status.WARN, status.ERROR, status.STALE)[level[0]]
    return status(
        level=own_level, name=name, message=message, hardware_id=hardware_id,
        values=[key_value(key=key, value=value) for key, value in values.items()],
    )


def make_diagnostics(
    types: MessageTypes, header: Message, statuses: Sequence[Message]
) -> Message:
    """``diagnostic_msgs/DiagnosticArray``."""
    return types("diagnostic_msgs/msg/DiagnosticArray")(header=header, status=list(statuses))
