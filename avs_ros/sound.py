"""What sound is measured in: the models' sample rate, and levels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Hz, mono: what every model hears.
SAMPLE_RATE = 16000


def dbfs(power: float) -> float:
    """Mean square of samples in -1..1 -> level in dB; -inf for digital silence."""
    return 10.0 * math.log10(power) if power > 0 else -math.inf


def level_dbfs(samples: NDArray[Any]) -> float:
    """Level of samples in -1..1, in dB; -inf for digital silence or no samples at all."""
    if not len(samples):
        return -math.inf
    return dbfs(float(np.mean(np.square(samples, dtype=np.float64))))
