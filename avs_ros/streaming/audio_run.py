"""A stretch of sound without a break, and its place in time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from avs_ros.streaming.resampler import StreamResampler, interpolate
from avs_ros.streaming.sample_clock import SampleClock
from avs_ros.streaming.sample_ring import SampleRing

Float = NDArray[np.float32]


@dataclass
class Run:
    """Samples that followed each other without a break: their numbers in the ring, their clock.

    ``start``, ``end``: ring numbers; the clock counts from ``start``.  ``rate_in``: rate of the
    sound that came in (Hz).  ``fed``: input samples that went into ``resampler`` since it began,
    which was ``origin`` output samples before ``start``.  ``gap_samples``: zeros counted for the
    gap before the run.  ``last_stamp_ns``, ``last_chunk``: of the chunk that came last.
    """

    start: int
    end: int
    rate_in: float
    clock: SampleClock
    resampler: StreamResampler
    fed: int = 0
    origin: int = 0
    gap_samples: int = 0
    last_stamp_ns: int = 0
    last_chunk: Float = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    @property
    def next_index(self) -> float:
        """Number, from ``start`` on, that the next input sample has in the clock."""
        return self.fed * self.resampler.ratio - self.origin

    @property
    def end_ns(self) -> int:
        """When the last sample in the ring ends."""
        return self.clock.time_ns(self.end - self.start)

    def split(self, index: float) -> tuple[Run, float]:
        """End this run before ``index``; returns the rest and the time missing between (s)."""
        at = round(index)
        later = replace(
            self, start=self.start + at, clock=self.clock.split(index, at),
            origin=self.origin + at, gap_samples=0,
        )
        self.end = later.start
        return later, (later.clock.time_ns(0) - self.clock.time_ns(at)) * 1e-9

    def join(self, later: Run) -> None:
        """Go on with the samples of ``later``, which follow in the ring, on this run's clock."""
        self.origin = later.origin - (self.end - self.start)
        self.end, self.fed, self.resampler = later.end, later.fed, later.resampler
        self.last_stamp_ns, self.last_chunk = later.last_stamp_ns, later.last_chunk

    def read(
        self, ring: SampleRing, start_ns: int, end_ns: int, out: Float,
        heard: NDArray[np.bool_],
    ) -> None:
        """Write what the run has of ``start_ns`` .. ``end_ns`` into ``out``, mark it in ``heard``.

        The very samples where drift stays below one sample over the window, else samples
        interpolated at the sender's rate.
        """
        n = out.size
        first = self.clock.index_at(start_ns)
        step = (self.clock.index_at(end_ns) - first) / n
        low = max(self.start, ring.start) - self.start
        # A run that was split may end with samples that the resampler still holds back.
        high = min(self.end, ring.end) - self.start
        slip = (step - 1.0) * n
        if abs(slip) <= 1.0:
            # Anchored in the middle, so that the slip is shared between both ends.
            shift = round(first + slip / 2)
            j0, j1 = max(0, low - shift), min(n, high - shift)
            if j0 < j1:
                base = self.start + shift
                out[j0:j1] = ring.read(base + j0, base + j1)
                heard[j0:j1] = True
            return
        j0 = max(0, math.ceil((low - 0.5 - first) / step))
        j1 = min(n, math.floor((high - 0.5 - first) / step) + 1)
        if j0 >= j1:
            return
        positions = first + step * np.arange(j0, j1)
        # Neighbours beyond the ends of the window sharpen the interpolation where they exist.
        a = max(low, math.floor(positions[0]) - 16)
        b = min(high, math.ceil(positions[-1]) + 17)
        held = ring.read(self.start + a, self.start + b)
        out[j0:j1] = interpolate(held, np.clip(positions - a, 0, b - a - 1))
        heard[j0:j1] = True
