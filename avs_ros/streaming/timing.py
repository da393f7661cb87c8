"""The pipeline's own time (deadlines, latencies; never pairing), and rolling figures about it."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np


class Clock:
    """The process's steady clock, by which threads can wait; a test puts a manual one in place."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        return time.monotonic_ns()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on ``condition`` (held by the caller) until notified or ``timeout_s`` is over."""
        condition.wait(timeout_s)


class RollingPercentiles:
    """Percentiles of the last ``size`` values; thread-safe."""

    def __init__(self, size: int = 512) -> None:
        self._values: deque[float] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Take in one value."""
        with self._lock:
            self._values.append(value)

    def mean(self) -> float:
        """Mean of the values; NaN while no value is known."""
        with self._lock:
            return sum(self._values) / len(self._values) if self._values else np.nan

    def percentiles(self) -> dict[str, float]:
        """``p50``, ``p90``, ``p99`` and ``max``; all NaN while no value is known."""
        with self._lock:
            values = np.array(self._values or [np.nan], dtype=np.float64)
        found = np.percentile(values, (50, 90, 99, 100))
        return dict(zip(("p50", "p90", "p99", "max"), map(float, found), strict=True))


class RateMeter:
    """Events per second over the last ``span_s`` seconds."""

    def __init__(self, span_s: float = 5.0) -> None:
        self._span_ns = round(span_s * 1e9)
        self._times: deque[int] = deque()

    def add(self, now_ns: int) -> None:
        """Note an event at ``now_ns``."""
        self._times.append(now_ns)
        self._forget(now_ns)

    def rate(self, now_ns: int) -> float:
        """Events per second (Hz) between the oldest event looked at and ``now_ns``."""
        self._forget(now_ns)
        if len(self._times) < 2:
            return 0.0
        elapsed = max(now_ns - self._times[0], 1)
        return (len(self._times) - 1) / (elapsed * 1e-9)

    def _forget(self, now_ns: int) -> None:
        while self._times and now_ns - self._times[0] > self._span_ns:
            self._times.popleft()
