"""The pipeline's own time (deadlines, latencies; never pairing), and rolling figures about it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np


class Clock:
    """The process's steady clock, by which threads can wait; a test puts a manual one in place."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        return time.monotonic_ns()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on ``condition`` (held by the caller) until notified or ``timeout_s`` is over."""
        condition.wait(timeout_s)


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds below which half, 90 %, 99 % of the recent values lie, and the largest."""

    p50: float
    p90: float
    p99: float
    max: float
    count: int


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
            return sum(self._values) / len(self._values) if self._values else float("nan")

    def percentiles(self) -> Percentiles:
        """The figures; all NaN while no value is known."""
        with self._lock:
            values = np.array(self._values, dtype=np.float64)
        if not values.size:
            nan = float("nan")
            return Percentiles(nan, nan, nan, nan, 0)
        p50, p90, p99 = np.percentile(values, (50, 90, 99))
        return Percentiles(float(p50), float(p90), float(p99), float(values.max()), values.size)


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
