"""Where the pipeline takes its own time from: deadlines and latencies, never pairing.

Pairing uses header stamps only.  The clock here is the process's steady clock; tests put a
manual one in its place, so that nothing has to sleep.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A steady clock that threads can wait by."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on ``condition`` (held by the caller) until notified or ``timeout_s`` is over."""
        ...


class MonotonicClock:
    """The system's steady clock."""

    def now_ns(self) -> int:
        """Nanoseconds of :func:`time.monotonic_ns`."""
        return time.monotonic_ns()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait as :meth:`threading.Condition.wait` does."""
        condition.wait(timeout_s)
