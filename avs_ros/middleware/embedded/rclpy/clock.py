"""Clocks: system, steady, and ROS time that may be simulated."""

from __future__ import annotations

import threading
import time as _time
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .clock_type import ClockType
from .duration import Duration
from .exceptions import NotInitializedException
from .time import Time

if TYPE_CHECKING:
    from .context import Context


class ClockChange(IntEnum):
    """What happened to the source of time."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """Which jumps are worth a callback."""

    def __init__(
        self,
        *,
        min_forward: Duration | None,
        min_backward: Duration | None,
        on_clock_change: bool = True,
    ) -> None:
        """Take a positive ``min_forward`` and a negative ``min_backward``; ``None``: never.

        Raises ``ValueError`` for the wrong sign or when nothing is left to react to.
        """
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError("min_forward must be a positive non-zero duration")
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError("min_backward must be a negative non-zero duration")
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError("At least one jump threshold must be enabled")
        self.min_forward = min_forward
        self.min_backward = min_backward
        self.on_clock_change = on_clock_change

    def exceeded_by(self, jump: TimeJump) -> bool:
        """Whether this jump calls for the callback."""
        if jump.clock_change in (
            ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED
        ):
            return self.on_clock_change
        forward, backward = self.min_forward, self.min_backward
        return (forward is not None and jump.delta >= forward) or (
            backward is not None and jump.delta <= backward
        )


class TimeJump:
    """One jump: the kind of change and the distance."""

    def __init__(self, clock_change: ClockChange, delta: Duration) -> None:
        if not isinstance(clock_change, ClockChange):
            raise TypeError("clock_change must be an instance of rclpy.clock.ClockChange")
        self._clock_change = clock_change
        self._delta = delta

    @property
    def clock_change(self) -> ClockChange:
        """The kind of change."""
        return self._clock_change

    @property
    def delta(self) -> Duration:
        """New time minus old time."""
        return self._delta


class JumpHandle:
    """A registered jump callback; ends with ``unregister`` or as a context manager."""

    def __init__(
        self,
        *,
        clock: Clock,
        threshold: JumpThreshold,
        pre_callback: Callable[[], None] | None,
        post_callback: Callable[[TimeJump], None] | None,
    ) -> None:
        if pre_callback is None and post_callback is None:
            raise ValueError("One of pre_callback or post_callback must be callable")
        if pre_callback is not None and not callable(pre_callback):
            raise ValueError("pre_callback must be callable if given")
        if post_callback is not None and not callable(post_callback):
            raise ValueError("post_callback must be callable if given")
        self.threshold = threshold
        self.pre_callback = pre_callback
        self.post_callback = post_callback
        self._clock: Clock | None = clock
        with clock._lock:
            clock._jump_handles.append(self)

    def unregister(self) -> None:
        """End the callbacks; a second call does nothing."""
        clock, self._clock = self._clock, None
        if clock is not None:
            with clock._lock:
                clock._jump_handles.remove(self)

    def __enter__(self) -> JumpHandle:
        return self

    def __exit__(
        self,
        t: type[BaseException] | None,
        v: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.unregister()


class Clock:
    """A source of time; ``Clock(clock_type=ClockType.ROS_TIME)`` gives a ``ROSClock``."""

    _clock_type: ClockType
    _lock: Any
    _jump_handles: list[JumpHandle]
    _active: bool
    _override_ns: int

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        """Choose the class by the type of clock."""
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        self = super().__new__(ROSClock if clock_type is ClockType.ROS_TIME else cls)
        self._clock_type = clock_type
        self._lock = threading.RLock()
        self._jump_handles = []
        self._active = False
        self._override_ns = 0
        return self

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def __repr__(self) -> str:
        return f"Clock(clock_type={self.clock_type.name})"

    def now(self) -> Time:
        """Give the current time of this clock."""
        return Time(nanoseconds=self._now_ns(), clock_type=self._clock_type)

    def _now_ns(self) -> int:
        if self._clock_type is ClockType.STEADY_TIME:
            return _time.monotonic_ns()
        return _time.time_ns()

    @property
    def _is_simulated(self) -> bool:
        return self._active

    def create_jump_callback(
        self,
        threshold: JumpThreshold,
        *,
        pre_callback: Callable[[], None] | None = None,
        post_callback: Callable[[TimeJump], None] | None = None,
    ) -> JumpHandle:
        """Call back before and after jumps of the time; keep the handle that is returned.

        The callbacks run in the thread that sets the time and must not block.
        """
        return JumpHandle(
            clock=self, threshold=threshold, pre_callback=pre_callback,
            post_callback=post_callback,
        )

    def sleep_until(self, until: Time, context: Context | None = None) -> bool:
        """Sleep until this clock shows ``until``.

        ``False`` when shutdown, or the switch to or from simulated time, came first.  Raises
        ``ValueError`` for a time of another clock, ``NotInitializedException`` without a context.
        """
        from .utilities import get_default_context

        context = get_default_context() if context is None else context
        if not context.ok():
            raise NotInitializedException()
        if until.clock_type != self._clock_type:
            raise ValueError("until's clock type does not match this clock's type")
        event = threading.Event()
        source_changed = False

        def on_jump(jump: TimeJump) -> None:
            nonlocal source_changed
            if jump.clock_change in (
                ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED
            ):
                source_changed = True
            event.set()

        context.on_shutdown(event.set)
        threshold = JumpThreshold(min_forward=Duration(nanoseconds=1), min_backward=None)
        try:
            with self.create_jump_callback(threshold, post_callback=on_jump):
                while context.ok() and not source_changed:
                    left = until.nanoseconds - self._now_ns()
                    if left <= 0:
                        return True
                    event.wait(None if self._is_simulated else left * 1e-9)
                    event.clear()
        finally:
            context._forget_on_shutdown(event.set)
        return False

    def sleep_for(self, rel_time: Duration, context: Context | None = None) -> bool:
        """Sleep for a span of this clock's time; see ``sleep_until``."""
        return self.sleep_until(self.now() + rel_time, context)


class ROSClock(Clock):
    """ROS time: the system's, or what ``/clock`` says while simulated time is active."""

    def __new__(cls, *, clock_type: ClockType = ClockType.ROS_TIME) -> ROSClock:
        """Make the clock, following the system."""
        self = super().__new__(cls, clock_type=clock_type)
        if clock_type is not ClockType.ROS_TIME or not isinstance(self, ROSClock):
            raise TypeError("a ROSClock shows ROS time")
        return self

    @property
    def ros_time_is_active(self) -> bool:
        """Whether the time is simulated."""
        return self._active

    def _now_ns(self) -> int:
        return self._override_ns if self._active else _time.time_ns()

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        with self._lock:
            if enabled == self._active:
                return
            delta = self._override_ns - _time.time_ns()
            jump = TimeJump(
                ClockChange.ROS_TIME_ACTIVATED if enabled else ClockChange.ROS_TIME_DEACTIVATED,
                Duration(nanoseconds=delta if enabled else -delta),
            )
            self._change(jump, active=enabled)

    def set_ros_time_override(self, time: Time) -> None:
        """Set the time that is shown while simulated time is active."""
        if not isinstance(time, Time):
            raise TypeError(
                f"Time must be specified as rclpy.time.Time. Received type: {type(time)}"
            )
        with self._lock:
            if not self._active:
                self._override_ns = time.nanoseconds
                return
            delta = Duration(nanoseconds=time.nanoseconds - self._override_ns)
            self._change(
                TimeJump(ClockChange.ROS_TIME_NO_CHANGE, delta), override=time.nanoseconds
            )

    def _change(
        self, jump: TimeJump, active: bool | None = None, override: int | None = None
    ) -> None:
        concerned = [one for one in self._jump_handles if one.threshold.exceeded_by(jump)]
        for handle in concerned:
            if handle.pre_callback is not None:
                handle.pre_callback()
        if active is not None:
            self._active = active
        if override is not None:
            self._override_ns = override
        for handle in concerned:
            if handle.post_callback is not None:
                handle.post_callback(jump)
