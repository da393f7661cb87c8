"""Points in time on one of the clocks."""

from __future__ import annotations

from typing import Any

from ..interfaces import get_message
from .clock_type import ClockType
from .constants import S_TO_NS
from .duration import Duration

_LIMIT = 2**63


class Time:
    """A point in time: nanoseconds since the epoch of ``clock_type``."""

    __slots__ = ("_clock_type", "_nanoseconds")

    def __init__(
        self,
        *,
        seconds: float = 0,
        nanoseconds: int = 0,
        clock_type: ClockType = ClockType.SYSTEM_TIME,
    ) -> None:
        """Add up both parts; ``ValueError`` if negative, ``OverflowError`` beyond 63 bits."""
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        if seconds < 0:
            raise ValueError("Seconds value must not be negative")
        if nanoseconds < 0:
            raise ValueError("Nanoseconds value must not be negative")
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if total >= _LIMIT:
            raise OverflowError("Total nanoseconds value is too large to store in C time point.")
        self._nanoseconds = total
        self._clock_type = clock_type

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since the clock's epoch."""
        return self._nanoseconds

    @property
    def clock_type(self) -> ClockType:
        """The clock this time belongs to."""
        return self._clock_type

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Give whole seconds and the nanoseconds left over."""
        return divmod(self._nanoseconds, S_TO_NS)

    def __repr__(self) -> str:
        return f"Time(nanoseconds={self.nanoseconds}, clock_type={self.clock_type.name})"

    def __add__(self, other: Duration) -> Time:
        if not isinstance(other, Duration):
            return NotImplemented
        return Time(
            nanoseconds=self.nanoseconds + other.nanoseconds, clock_type=self.clock_type
        )

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Time):
            if self.clock_type != other.clock_type:
                raise TypeError("Can't subtract times with different clock types")
            return Duration(nanoseconds=self.nanoseconds - other.nanoseconds)
        if isinstance(other, Duration):
            return Time(
                nanoseconds=self.nanoseconds - other.nanoseconds, clock_type=self.clock_type
            )
        return NotImplemented

    def _comparable(self, other: Time) -> int:
        if self.clock_type != other.clock_type:
            raise TypeError("Can't compare times with different clock types")
        return other.nanoseconds

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self.nanoseconds == self._comparable(other)
        return NotImplemented

    def __lt__(self, other: Time) -> bool:
        if isinstance(other, Time):
            return self.nanoseconds < self._comparable(other)
        return NotImplemented

    def __le__(self, other: Time) -> bool:
        if isinstance(other, Time):
            return self.nanoseconds <= self._comparable(other)
        return NotImplemented

    def __gt__(self, other: Time) -> bool:
        if isinstance(other, Time):
            return self.nanoseconds > self._comparable(other)
        return NotImplemented

    def __ge__(self, other: Time) -> bool:
        if isinstance(other, Time):
            return self.nanoseconds >= self._comparable(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def to_msg(self) -> Any:
        """Give the same time as a ``builtin_interfaces/msg/Time``."""
        seconds, nanoseconds = self.seconds_nanoseconds()
        return get_message("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any, clock_type: ClockType = ClockType.ROS_TIME) -> Time:
        """Read a ``builtin_interfaces/msg/Time``; raises ``TypeError`` for another message."""
        if not isinstance(msg, get_message("builtin_interfaces/msg/Time")):
            raise TypeError("Must pass a builtin_interfaces.msg.Time object")
        return cls(
            seconds=msg.sec,  # type: ignore[attr-defined]
            nanoseconds=msg.nanosec,  # type: ignore[attr-defined]
            clock_type=clock_type,
        )
