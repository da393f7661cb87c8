"""``diagnostic_msgs``: levels and key-value pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avs_ros.messages.header import Message
from avs_ros.middleware import get_message

# A `byte` field is a bytes object in Python; comparing it with a number is silently false.
OK, WARN, ERROR, STALE = b"\x00", b"\x01", b"\x02", b"\x03"


def make_status(
    name: str, level: bytes, message: str, values: Mapping[str, str], hardware_id: str = ""
) -> Message:
    """One ``diagnostic_msgs/DiagnosticStatus``."""
    key_value = get_message("diagnostic_msgs/msg/KeyValue")
    return get_message("diagnostic_msgs/msg/DiagnosticStatus")(
        level=level, name=name, message=message, hardware_id=hardware_id,
        values=[key_value(key=key, value=value) for key, value in values.items()],
    )


def make_diagnostics(header: Message, statuses: Sequence[Message]) -> Message:
    """``diagnostic_msgs/DiagnosticArray``."""
    return get_message("diagnostic_msgs/msg/DiagnosticArray")(
        header=header, status=list(statuses)
    )
