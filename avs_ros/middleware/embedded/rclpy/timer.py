"""Callbacks at a fixed period, on any clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .callback_groups import CallbackGroup
from .clock import Clock, ClockChange, JumpThreshold, TimeJump
from .context import Context
from .duration import Duration
from .exceptions import ROSInterruptException
from .waitable import Entity

_ANY_JUMP = JumpThreshold(
    min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)
)


class Timer(Entity):
    """Calls back every ``timer_period_ns`` of its clock; made by ``Node.create_timer``.

    Periods that pass while a callback runs are skipped, and the rhythm is kept.  Under simulated
    time a jump back starts the period anew.
    """

    def __init__(
        self,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup | None,
        timer_period_ns: int,
        clock: Clock,
        *,
        context: Context | None = None,
        autostart: bool = True,
    ) -> None:
        super().__init__(callback_group)
        if timer_period_ns < 0:
            raise ValueError(f"timer period is {timer_period_ns} ns; it must not be negative")
        self.callback = callback
        self._clock = clock
        self._lock = threading.Lock()
        self._period_ns = int(timer_period_ns)
        self._last_ns = clock._now_ns()
        self._next_ns = self._last_ns + self._period_ns
        self._canceled = not autostart
        self._jump_handle = clock.create_jump_callback(_ANY_JUMP, post_callback=self._on_jump)

    @property
    def clock(self) -> Clock:
        """The clock it follows."""
        return self._clock

    @property
    def timer_period_ns(self) -> int:
        """The period; a new one counts from the next call on."""
        return self._period_ns

    @timer_period_ns.setter
    def timer_period_ns(self, value: int) -> None:
        self._period_ns = int(value)

    def _on_jump(self, jump: TimeJump) -> None:
        with self._lock:
            now = self._clock._now_ns()
            if jump.clock_change in (
                ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED
            ):
                # The share of the period that had passed stays passed on the new time line.
                passed = max(now - jump.delta.nanoseconds - self._last_ns, 0)
                self._last_ns = now - min(passed, self._period_ns)
                self._next_ns = self._last_ns + self._period_ns
            elif now < self._last_ns:
                self._last_ns, self._next_ns = now, now + self._period_ns
        self._wake()

    def is_ready(self) -> bool:
        """Whether the callback is due."""
        return not self._canceled and self._clock._now_ns() >= self._next_ns

    def is_canceled(self) -> bool:
        """Whether it was canceled (and not reset)."""
        return self._canceled

    def cancel(self) -> None:
        """Stop calling back until ``reset``."""
        self._check_alive()
        self._canceled = True

    def reset(self) -> None:
        """Start the period anew, now."""
        self._check_alive()
        with self._lock:
            self._last_ns = self._clock._now_ns()
            self._next_ns = self._last_ns + self._period_ns
            self._canceled = False
        self._wake()

    def time_since_last_call(self) -> int:
        """Give the ns since the last call, or since the start."""
        return self._clock._now_ns() - self._last_ns

    def time_until_next_call(self) -> int | None:
        """Give the ns until the next call (negative: overdue), ``None`` when canceled."""
        return None if self._canceled else self._next_ns - self._clock._now_ns()

    def _wait_ns(self) -> int | None:
        """Give how long an executor may sleep on this timer's account; ``None``: as it likes."""
        if self._canceled or self._clock._is_simulated:
            return None  # simulated time wakes the executor when it moves
        return max(self._next_ns - self._clock._now_ns(), 0)

    def _is_ready(self) -> bool:
        return not self._destroyed and self.is_ready()

    def _take(self) -> Callable[[], Any] | None:
        with self._lock:
            now = self._clock._now_ns()
            if self._canceled or now < self._next_ns:
                return None
            self._last_ns = now
            self._next_ns += self._period_ns
            if self._next_ns < now:
                behind = now - self._next_ns
                self._next_ns = (
                    now if self._period_ns == 0
                    else self._next_ns + (1 + (behind - 1) // self._period_ns) * self._period_ns
                )
        return self.callback

    def destroy(self) -> None:
        """End it; use ``Node.destroy_timer``."""
        self._destroyed = True
        self._canceled = True
        self._jump_handle.unregister()


class Rate:
    """Sleeps in a loop at a fixed rate; the executor must spin in another thread."""

    def __init__(self, timer: Timer, *, context: Context) -> None:
        self._timer = timer
        self._is_shutdown = False
        self._is_destroyed = False
        self._tick = threading.Condition()
        self._ticks = 0
        timer.callback = self._on_timer
        context.on_shutdown(self._on_shutdown)

    def _on_timer(self) -> None:
        with self._tick:
            self._ticks += 1
            self._tick.notify_all()

    def _on_shutdown(self) -> None:
        self._is_shutdown = True
        self.destroy()

    def destroy(self) -> None:
        """Wake every sleeper; use ``Node.destroy_rate``."""
        self._is_destroyed = True
        with self._tick:
            self._tick.notify_all()

    def sleep(self) -> None:
        """Sleep until the next tick; raises ``ROSInterruptException`` at shutdown."""
        if self._is_destroyed and not self._is_shutdown:
            raise RuntimeError("Rate cannot sleep because it has been destroyed")
        with self._tick:
            seen = self._ticks
            self._tick.wait_for(lambda: self._ticks != seen or self._is_destroyed)
        if self._is_shutdown:
            raise ROSInterruptException()
