"""A microphone whose samples say when they were captured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avs_ros.streaming import Sound, Synchronizer

EPOCH_NS = 1_700_000_000_000_000_000
PERIOD_S = 1 / 16000  # of the windows
RAMP_S = 64.0  # a sample's value is its capture time since EPOCH_NS, in units of this


@dataclass(frozen=True)
class Chunk:
    """Arguments of ``AudioBuffer.push``, and the number of the first sample."""

    stamp_ns: int
    samples: NDArray[np.float32]
    rate_hz: int
    first: int


def capture_ns(index: float, rate_hz: int, drift: float, start_s: float = 0.0) -> float:
    """When sample ``index`` was captured, ns after EPOCH_NS: the converter runs slow by drift."""
    return (start_s + index / rate_hz * (1.0 + drift)) * 1e9


def ramp(
    seed: int,
    rate_hz: int,
    seconds: float,
    *,
    drift: float = 0.0,
    jitter_s: float = 0.0,
    longest_s: float = 0.1,
    start_s: float = 0.0,
) -> list[Chunk]:
    """Sound cut into random chunks, stamped with uniform jitter; values tell capture times."""
    rng = np.random.default_rng(seed)
    total = round(seconds * rate_hz)
    index = np.arange(total)
    values = (capture_ns(index, rate_hz, drift, start_s) * 1e-9 / RAMP_S).astype(np.float32)
    return cut(rng, values, rate_hz, drift, jitter_s, longest_s, start_s)


def numbered(
    seed: int, rate_hz: int, seconds: float, *, drift: float = 0.0, jitter_s: float = 0.0
) -> list[Chunk]:
    """As :func:`ramp`, but values are ``(number + 1) / 2**20``, exact in float32."""
    rng = np.random.default_rng(seed)
    values = ((np.arange(round(seconds * rate_hz)) + 1) / 2**20).astype(np.float32)
    return cut(rng, values, rate_hz, drift, jitter_s, 0.1, 0.0)


def numbers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The numbers behind the values of :func:`numbered`; -1 for silence."""
    return samples.astype(np.float64) * 2**20 - 1


def cut(
    rng: np.random.Generator, values: NDArray[np.float32], rate_hz: int, drift: float,
    jitter_s: float, longest_s: float, start_s: float,
) -> list[Chunk]:
    """Random chunks of 1 ms to ``longest_s``."""
    chunks = []
    first = 0
    shortest = max(1, rate_hz // 1000)
    while first < values.size:
        size = int(rng.integers(shortest, max(shortest + 1, round(longest_s * rate_hz))))
        true_ns = capture_ns(first, rate_hz, drift, start_s)
        stamp = EPOCH_NS + round(true_ns + rng.uniform(-jitter_s, jitter_s) * 1e9)
        chunks.append(Chunk(stamp, values[first : first + size], rate_hz, first))
        first += size
    return chunks


def window_times(end_ns: int, n: int) -> NDArray[np.float64]:
    """When each sample of a window should have been captured, s after EPOCH_NS."""
    return (end_ns - EPOCH_NS) * 1e-9 + np.arange(-n, 0) / 16000


def chunk_at(sync: Synchronizer, start_ms: int, ms: int = 100) -> None:
    """Sound from ``start_ms`` on whose values tell its time."""
    times = (start_ms / 1000 + np.arange(ms * 16) / 16000) / RAMP_S
    sync.push(Sound(EPOCH_NS + start_ms * 1_000_000, times.astype(np.float32), 16000))
