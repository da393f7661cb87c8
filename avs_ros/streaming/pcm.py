"""PCM bytes and integer samples -> floats in [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError
from avs_ros.sound import SAMPLE_RATE, STRAY_SHARE, check_scale

Float = NDArray[np.float32]
MAX_RATE_HZ = 768_000

# GStreamer's names; the short names and Foxglove's "pcm-s16" mean little endian.
_DTYPES: dict[str, str] = {
    "U8": "u1", "S8": "i1",
    "S16LE": "<i2", "S32LE": "<i4", "F32LE": "<f4", "F64LE": "<f8",
    "S16BE": ">i2", "S32BE": ">i4", "F32BE": ">f4", "F64BE": ">f8",
}
SAMPLE_FORMATS: tuple[str, ...] = (*_DTYPES, "S24LE")


def canonical_format(sample_format: str) -> str:
    """Name out of ``SAMPLE_FORMATS`` for "S16LE", "s16", "pcm-s16", "PCM_S16LE"...

    Raises :class:`AudioFormatError` for a format that is not PCM known here.
    """
    name = sample_format.strip().upper().removeprefix("PCM").lstrip("-_ ")
    for known in (name, f"{name}LE"):
        if known in SAMPLE_FORMATS:
            return known
    raise AudioFormatError(
        f"sample format {sample_format!r} is not known; use one of {', '.join(SAMPLE_FORMATS)}"
    )


def _width(name: str) -> int:
    """Bytes of one sample."""
    return 3 if name == "S24LE" else np.dtype(_DTYPES[name]).itemsize


@dataclass(frozen=True)
class AudioFormat:
    """What bytes of sound are: a name out of ``SAMPLE_FORMATS``, channels, rate in Hz."""

    sample_format: str = "S16LE"
    channels: int = 1
    rate: int = SAMPLE_RATE

    def __str__(self) -> str:
        plural = "s" if self.channels > 1 else ""
        return f"{self.rate} Hz, {self.channels} channel{plural}, {self.sample_format}"

    @property
    def bytes_per_second(self) -> float:
        """Of interleaved samples; raises :class:`AudioFormatError` for an unknown format."""
        return float(self.rate * self.channels * _width(canonical_format(self.sample_format)))


def decode(data: Any, sample_format: str, channels: int) -> NDArray[Any]:
    """Interleaved PCM -> ``[n, channels]`` in the format's own type.

    ``data``: any object with a buffer (bytes, bytearray, ``array('B')``, uint8 array).  The result
    looks at the same memory where the format allows it; 24-bit samples become int32, scaled to
    full range.  Raises :class:`AudioFormatError` for an unknown format, a channel count below 1,
    or data that do not hold a whole number of samples for every channel.
    """
    name = canonical_format(sample_format)
    if channels < 1:
        raise AudioFormatError(f"sound has {channels} channels; at least 1 is needed")
    raw, width = np.frombuffer(data, dtype=np.uint8), _width(name)
    if raw.size % (width * channels):
        raise AudioFormatError(
            f"{raw.size} bytes of sound do not divide into {channels} channels of {name} "
            f"({width} bytes each); check sample format and channel count"
        )
    if name == "S24LE":
        wide = np.zeros((raw.size // 3, 4), dtype=np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.view("<i4").reshape(-1, channels)
    return raw.view(_DTYPES[name]).reshape(-1, channels)


def to_float(samples: NDArray[Any]) -> NDArray[Any]:
    """PCM samples of any type and shape on the scale -1..1; floats are left as they are.

    Integers become float32, scaled by their full range (uint8 is offset binary, 128 = silence).
    Raises :class:`AudioFormatError` for another type.
    """
    kind, width = samples.dtype.kind, samples.dtype.itemsize
    if kind == "f":
        return samples
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if kind == "i" and width in (1, 2, 4):
        return samples.astype(np.float32) / np.float32(2.0 ** (8 * width - 1))
    raise AudioFormatError(
        f"samples of type {samples.dtype}; expected int8, int16, int32, uint8 or a float type"
    )


class MonoChunk(NamedTuple):
    """Mono float32 ``samples`` ``[n]`` in [-1, 1], and how many values had to be mended."""

    samples: Float
    nonfinite: int
    clipped: int


def to_mono(samples: NDArray[Any]) -> MonoChunk:
    """Mix ``[n]`` or ``[n, channels]`` samples of any PCM type to mono float32.

    Scaled by :func:`to_float`; channels are averaged.  NaN and infinite values become 0, values
    past full scale are clipped to +-1; both are counted (per channel value, before mixing).
    Raises :class:`AudioFormatError` for another shape or type, and for floats on the scale of
    integers.
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise AudioFormatError(
            f"samples have shape {array.shape}; expected [n] or [n, channels], channels >= 1"
        )
    nonfinite = clipped = 0
    mono = to_float(array)
    if array.dtype.kind == "f":
        check_scale(array, STRAY_SHARE)
        finite = np.isfinite(array)
        nonfinite = int(array.size - np.count_nonzero(finite))
        mono = np.where(finite, array, 0).clip(-1.0, 1.0).astype(np.float32)
        clipped = int(np.count_nonzero(np.abs(array[finite]) > 1.0))
    if mono.ndim == 2:
        mono = mono[:, 0] if mono.shape[1] == 1 else mono.mean(axis=1, dtype=np.float32)
    return MonoChunk(np.ascontiguousarray(mono, dtype=np.float32), nonfinite, clipped)


def check_rate(rate_hz: float) -> float:
    """``rate_hz`` if sound can have it; raises :class:`AudioFormatError` otherwise."""
    rate = float(rate_hz)
    if not 0.0 < rate <= MAX_RATE_HZ:
        raise AudioFormatError(
            f"sample rate {rate_hz} Hz is not possible; expected above 0, at most {MAX_RATE_HZ}"
        )
    return rate
