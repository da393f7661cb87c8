"""What sound is measured in: the models' sample rate, and levels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError

# Hz, mono: what every model hears.
SAMPLE_RATE = 16000
# Floats this far out are on another scale: one of them in a window, so many in a stream, where a
# stray value is no more than that.
FAR_PAST_FULL_SCALE, STRAY_SHARE = 4.0, 0.1


def dbfs(power: float) -> float:
    """Mean square of samples in -1..1 -> level in dB; -inf for digital silence."""
    return 10.0 * math.log10(power) if power > 0 else -math.inf


def level_dbfs(samples: NDArray[Any]) -> float:
    """Level of samples in -1..1, in dB; -inf for digital silence or no samples at all."""
    if not len(samples):
        return -math.inf
    return dbfs(float(np.mean(np.square(samples, dtype=np.float64))))


def check_scale(samples: NDArray[Any], stray_share: float = 0.0) -> None:
    """Raise :class:`AudioFormatError` for floats on the scale of integers (+-32768).

    ``stray_share``: share of the samples that may lie that far out.  Real overshoot stays below;
    clipped, such sound would be noise at full scale.
    """
    with np.errstate(invalid="ignore"):
        far = np.count_nonzero(np.isfinite(samples) & (np.abs(samples) > FAR_PAST_FULL_SCALE))
    if far > stray_share * samples.size:
        peak = np.max(np.abs(samples[np.isfinite(samples)]), initial=0.0)
        raise AudioFormatError(
            f"float samples up to {peak:.6g}: floats must be -1..1; divide by the full scale of "
            "the integers (32768 for 16 bits), or hand the integers over as they are"
        )
