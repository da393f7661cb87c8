"""Paired bootstrap: how sure the difference between two runs on the same recordings is.

Frames of one recording resemble each other, so whole recordings are drawn, not frames
(cluster bootstrap); a score is the mean over all frames of the drawn recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
RESAMPLES, SEED, LEVEL = 10_000, 20240, 0.95
# Below this, drawing recordings says nothing about recordings that were not made.
FEWEST = 5
_AT_ONCE = 500


@dataclass(frozen=True)
class Difference:
    """Means ``a`` and ``b``, and the ends of the interval of ``b - a``.

    ``low``, ``high``: None with fewer than :data:`FEWEST` recordings.  ``frames``,
    ``recordings``: how many had the score.
    """

    a: float
    b: float
    low: float | None
    high: float | None
    frames: int
    recordings: int

    @property
    def value(self) -> float:
        """What B has more than A."""
        return self.b - self.a

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def paired_difference(
    a: Float, b: Float, recordings: NDArray[np.int64], *, resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference | None:
    """Difference of the means of ``a`` and ``b``, float ``[n]``, one value a frame.

    ``recordings``: int ``[n]``, which recording each frame belongs to.  A frame where either is
    NaN is left out of both; None when nothing is left.  The same seed gives the same interval.
    """
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return None
    a, b = a[known], b[known]
    _, index = np.unique(recordings[known], return_inverse=True)
    count = int(index.max()) + 1
    weight = np.bincount(index).astype(np.float64)
    total = np.bincount(index, weights=b - a)
    low = high = None
    if count >= FEWEST:
        rng = np.random.default_rng(seed)
        draws = []
        for start in range(0, resamples, _AT_ONCE):
            size = (min(_AT_ONCE, resamples - start), count)
            drawn = rng.integers(0, count, size)
            draws.append(total[drawn].sum(axis=1) / weight[drawn].sum(axis=1))
        tail = 50 * (1 - LEVEL)
        ends = np.percentile(np.concatenate(draws), [tail, 100 - tail])
        low, high = float(ends[0]), float(ends[1])
    return Difference(float(a.mean()), float(b.mean()), low, high, len(a), count)
