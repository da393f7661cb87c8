"""A stretch of sound without a break: its samples in a ring, its rate, and its place in time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.streaming.sample_clock import SampleClock

Float = NDArray[np.float32]


class SampleRing:
    """The last ``capacity`` samples written; sample number ``i`` keeps its number."""

    def __init__(self, capacity: int) -> None:
        """Make room for ``capacity`` samples (at least 1)."""
        self._data: Float = np.zeros(capacity, dtype=np.float32)
        self.end = 0

    @property
    def start(self) -> int:
        """Number of the oldest sample still held."""
        return max(0, self.end - self._data.size)

    def write(self, samples: Float) -> None:
        """Append ``samples`` ``[n]``; the oldest give way."""
        size = self._data.size
        kept = samples[-size:]
        first = (self.end + samples.size - kept.size) % size
        head = min(kept.size, size - first)
        self._data[first : first + head] = kept[:head]
        self._data[: kept.size - head] = kept[head:]
        self.end += samples.size

    def read(self, start: int, end: int) -> Float:
        """Copy of samples ``start`` .. ``end`` (exclusive), all of which must be held."""
        size = self._data.size
        first = start % size
        head = min(end - start, size - first)
        return np.concatenate([self._data[first : first + head], self._data[: end - start - head]])


_TAPS = 16
_PHASES = 256


class StreamResampler:
    """Input rate -> output rate, chunk by chunk, the same whatever the chunks.

    Output sample ``m`` lies at input time ``m / rate_out`` exactly: soxr takes its own filter
    delay out, and instead holds back the newest few milliseconds (up to about 40 ms from 44.1 or
    48 kHz) until more sound or :meth:`flush` comes.  Equal rates pass through untouched.
    """

    def __init__(self, rate_in: float, rate_out: float) -> None:
        self.ratio = rate_out / rate_in
        self.ended = False
        self._stream = (
            None
            if rate_in == rate_out
            else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
        )

    def process(self, samples: Float) -> Float:
        """Feed ``samples`` ``[n]``; returns what is ready, possibly nothing."""
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples), dtype=np.float32)

    def flush(self) -> Float:
        """The samples held back; the stream ends (``ended``) and takes no more."""
        nothing = np.zeros(0, dtype=np.float32)
        if self._stream is None or self.ended:
            return nothing
        self.ended = True
        return np.asarray(self._stream.resample_chunk(nothing, last=True), dtype=np.float32)


@lru_cache(maxsize=1)
def _kernels() -> NDArray[np.float32]:
    """Windowed sinc for each of 256 fractions of a sample, ``[256, 16]``, each summing to 1."""
    fraction = np.arange(_PHASES)[:, None] / _PHASES
    offset = np.arange(_TAPS)[None, :] - (_TAPS // 2 - 1) - fraction
    half = _TAPS / 2
    window = np.i0(7.0 * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(7.0)
    kernel = np.sinc(offset) * window
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float32)


def interpolate(samples: Float, positions: NDArray[np.float64]) -> Float:
    """Values of ``samples`` at fractional ``positions`` inside the array.

    Past the ends the sound is taken to go on as its point reflection.
    """
    phase = np.round(positions * _PHASES).astype(np.int64)
    whole = np.clip(phase // _PHASES, 0, samples.size - 1)
    before = _TAPS // 2 - 1
    padded = np.pad(samples, (before, _TAPS - before), mode="reflect", reflect_type="odd")
    neighbours = np.lib.stride_tricks.sliding_window_view(padded, _TAPS)[whole]
    out = np.einsum("ij,ij->i", neighbours, _kernels()[phase % _PHASES])
    return np.asarray(out, dtype=np.float32)


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
