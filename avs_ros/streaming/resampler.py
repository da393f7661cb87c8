"""Changing the rate of sound: once and for all on arrival, and by a hair on the way out."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

Float = NDArray[np.float32]
_TAPS = 16
_PHASES = 256


class StreamResampler:
    """Input rate -> output rate, chunk by chunk, the same whatever the chunks.

    Output sample ``m`` lies at input time ``m / rate_out`` exactly: soxr takes its own filter
    delay out, and instead holds back the newest few milliseconds (up to about 40 ms from 44.1 or
    48 kHz) until more sound or :meth:`flush` comes.  Equal rates pass through untouched.
    """

    def __init__(self, rate_in: float, rate_out: float) -> None:
        """Begin a new stream."""
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
