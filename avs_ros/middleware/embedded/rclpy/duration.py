"""Spans of time, in nanoseconds."""

from __future__ import annotations

from functools import total_ordering
from typing import Any

from ..interfaces import get_message
from .constants import S_TO_NS

_LIMIT = 2**63


@total_ordering
class Duration:
    """A span of time with nanosecond precision; may be negative."""

    __slots__ = ("_nanoseconds",)

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        """Add up both parts; raises ``OverflowError`` beyond 64 bits."""
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -_LIMIT <= total < _LIMIT:
            raise OverflowError("Total nanoseconds value is too large to store in C duration.")
        self._nanoseconds = total

    @property
    def nanoseconds(self) -> int:
        """Length in ns."""
        return self._nanoseconds

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self.nanoseconds})"

    def __str__(self) -> str:
        return "Infinite" if self == Infinite else f"{self.nanoseconds} nanoseconds"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self.nanoseconds == other.nanoseconds
        return NotImplemented

    def __lt__(self, other: Duration) -> bool:
        if isinstance(other, Duration):
            return self.nanoseconds < other.nanoseconds
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._nanoseconds)

    def to_msg(self) -> Any:
        """Give the same span as a ``builtin_interfaces/msg/Duration``."""
        seconds, nanoseconds = divmod(self.nanoseconds, S_TO_NS)
        return get_message("builtin_interfaces/msg/Duration")(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any) -> Duration:
        """Read a ``builtin_interfaces/msg/Duration``; raises ``TypeError`` for another message."""
        if not isinstance(msg, get_message("builtin_interfaces/msg/Duration")):
            raise TypeError("Must pass a builtin_interfaces.msg.Duration object")
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)  # type: ignore[attr-defined]


Infinite = Duration(nanoseconds=_LIMIT - 1)
"""Longer than anything: what QoS calls "no limit"."""
