"""Segmentation scores: M_J and M_F as AVSBench computes them, and forms free of its traps.

AVSBench's own scores depend on how frames are put into batches (the F threshold is chosen per
batch, batches weigh equally) and are nearly blind to masks on silent frames; both are kept here
as published, for comparison, beside batch-independent and negative-audio forms.
Here ``probability`` is float ``[N, h, w]`` in 0..1, ``truth`` ``[N, h, w]`` 0|1.

How sure a difference between two runs on the same recordings is, says a paired bootstrap: frames
of one recording resemble each other, so whole recordings are drawn, not frames (cluster
bootstrap); a score is the mean over all frames of the drawn recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError

Array = NDArray[np.float64]
BETA_SQUARED = 0.3
THRESHOLDS = np.linspace(0.0, 1.0 - 1e-10, 255).astype(np.float32)


def _pair(probability: object, truth: object) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    p = np.asarray(probability, dtype=np.float32)
    t = np.asarray(truth) > 0
    if p.shape != t.shape or p.ndim != 3:
        raise DatasetError(
            f"probability {list(p.shape)} and truth {list(t.shape)} must both be [N, h, w]"
        )
    return p, t


def frame_iou(probability: object, truth: object) -> Array:
    """IoU of each frame at threshold 0.5, as AVSBench's ``mask_iou`` has it: float64 ``[N]``.

    A frame with an empty truth scores the share of pixels that are background in both.
    """
    p, t = _pair(probability, truth)
    marked = p > 0.5
    inter = (marked & t).sum(axis=(1, 2)).astype(np.float64)
    union = (marked | t).sum(axis=(1, 2)).astype(np.float64)
    clean = (~marked & ~t).sum(axis=(1, 2)) / (p.shape[1] * p.shape[2])
    return np.asarray(np.where(t.any(axis=(1, 2)), inter / (union + 1e-7), clean), np.float64)


def threshold_counts(probability: object, truth: object) -> tuple[Array, Array, Array]:
    """Pixels at or above each of the 255 thresholds, those of them that are true, all true ones.

    Returns float64 ``[N, 255]``, ``[N, 255]`` and ``[N]``.  Thresholds run from 0 to 1 in float32,
    so the last is exactly 1.
    """
    p, t = _pair(probability, truth)
    marked = np.zeros((len(p), len(THRESHOLDS)))
    found, true = np.zeros_like(marked), np.zeros(len(p))
    for n in range(len(p)):
        every, hits = np.sort(p[n].ravel()), np.sort(p[n][t[n]])
        marked[n] = every.size - np.searchsorted(every, THRESHOLDS, side="left")
        found[n] = hits.size - np.searchsorted(hits, THRESHOLDS, side="left")
        true[n] = hits.size
    return marked, found, true


def f_of_counts(marked: Array, found: Array, true: Array) -> Array:
    """F (beta^2 = 0.3) from :func:`threshold_counts`: ``[N, 255]``, 0 where undefined."""
    precision = found / (marked + 1e-20)
    recall = found / (true[:, None] + 1e-20)
    total = BETA_SQUARED * precision + recall
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num((1 + BETA_SQUARED) * precision * recall / total))


def _batches(count: int, batch: int | None) -> list[slice]:
    """Parts of ``count`` frames; all of them in one without ``batch``."""
    if batch is None:
        return [slice(None)]
    if batch < 1:
        raise DatasetError(f"batch is {batch}; it must be at least 1 frame")
    return [slice(start, start + batch) for start in range(0, count, batch)]


def batch_f(probability: object, truth: object) -> float:
    """AVSBench's ``Eval_Fmeasure`` of one batch.

    Frames with an empty truth are left out, the curves of the others averaged, and the best
    threshold taken; a batch without any annotated pixel scores 0.
    """
    p, t = _pair(probability, truth)
    seen = t.any(axis=(1, 2))
    if not seen.any():
        return 0.0
    curves = f_of_counts(*threshold_counts(p[seen], t[seen]))
    return float(curves.mean(axis=0).max())


def m_j(probability: object, truth: object, *, batch: int | None = None) -> float:
    """M_J in 0..1: mean over batches of the mean frame IoU.

    ``batch``: frames per batch (AVSBench tests 5 frames of one clip, or of four, at a time);
    None = plain mean over frames, which does not depend on batching.
    """
    scores = frame_iou(probability, truth)
    return float(np.mean([scores[part].mean() for part in _batches(len(scores), batch)]))


def m_f(probability: object, truth: object, *, batch: int | None = None) -> float:
    """M_F in 0..1.

    ``batch``: as AVSBench, the mean over batches of each batch's best F (smaller batches score
    higher).  None: one threshold for the whole set - the best of the mean curve over all frames
    with something annotated - which does not depend on batching.
    """
    p, t = _pair(probability, truth)
    return float(np.mean([batch_f(p[part], t[part]) for part in _batches(len(p), batch)]))


def false_positive_rate(probability: object) -> float:
    """Share of pixels above 0.5, mean over frames: with sound that belongs to nothing visible,
    each is wrong (AVSBench-Robust's FPR; an area share, not a share per object).
    """
    p = np.asarray(probability, dtype=np.float32)
    return float((p > 0.5).mean(axis=(1, 2)).mean())


def success_auc(overlaps: Sequence[float]) -> float | None:
    """Area under the share of ``overlaps`` (0..1) that reach a threshold, over thresholds 0..1.

    As VGG-SS computes it: 21 thresholds, trapezoids; 1 if all are 1, 0.025 if all are 0.  None
    without any.
    """
    if not len(overlaps):
        return None
    values = np.asarray(overlaps, np.float64)
    # 0.05 times whole numbers, not sums: 0.15 must not become 0.15000000000000002.
    share = np.array([np.mean(values >= step / 20) for step in range(21)])
    return float(np.mean((share[1:] + share[:-1]) / 2))


def mask_iou(one: NDArray[np.bool_], other: NDArray[np.bool_], empty: float = 0.0) -> float:
    """IoU of two masks bool ``[h, w]``; ``empty``: what two masks without a pixel come to."""
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else empty


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of those that are known; None without any."""
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else None


def percentiles(values: Iterable[float | None]) -> dict[str, float] | None:
    """``p50``, ``p95`` and ``p99`` of those that are known; None without any."""
    known = [value for value in values if value is not None]
    return {f"p{q}": float(np.percentile(known, q)) for q in (50, 95, 99)} if known else None


def g_miou(positive: float, negative: float) -> float:
    """Harmonic mean of M_J with the right sound and 1 - M_J with a wrong one.

    ``negative`` is measured against the mask that the right sound would have: lower is better.
    AVSBench-Robust combines the two by hand; this form reproduces its published figures.
    """
    rest = 1.0 - negative
    return 2 * positive * rest / (positive + rest) if positive + rest > 0 else 0.0


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
    def ends(self) -> tuple[float, float] | None:
        """``low`` and ``high``, where they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.ends is not None and (self.ends[0] > 0 or self.ends[1] < 0)


def grouped_difference(
    a: Sequence[float | None] | None, b: Sequence[float | None], groups: Sequence[str]
) -> Difference | None:
    """:func:`paired_difference` of values that may be None, by the names of their groups.

    Without ``a`` the difference is the mean of ``b``.
    """
    second = np.array(b, np.float64)
    first = second * 0.0 if a is None else np.array(a, np.float64)
    return paired_difference(first, second, np.unique(list(groups), return_inverse=True)[1])


def paired_difference(
    a: Array, b: Array, recordings: NDArray[np.int64], *, resamples: int = RESAMPLES,
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
