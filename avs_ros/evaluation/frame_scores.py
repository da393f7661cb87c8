"""What is kept of one answered (or missed) frame: figures, not pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.boxes import best_overlap, box_of

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ScoredFrame:
    """What was answered for one frame, and what is true.

    ``mask``, ``truth``: ``[h, w]``, above 0 = sounding.  ``probability``: float ``[h, w]`` 0..1,
    None if it was not recorded (M_F then rests on the mask alone).  ``labels``/``true_labels``:
    names of what was marked and of what sounds; ``boxes``: predicted boxes; ``point``: attention
    point [x, y] px.  ``latency_ms``: age of the frame when its answer came.
    """

    stamp_ns: int
    mask: NDArray[Any]
    truth: NDArray[Any]
    probability: NDArray[Any] | None = None
    labels: Sequence[str] = ()
    true_labels: Sequence[str] = ()
    boxes: Sequence[Box] = ()
    point: tuple[float, float] | None = None
    latency_ms: float | None = None
    sync_error_ms: float | None = None


@dataclass
class FrameScores:
    """Figures of one frame.

    ``curve``: F at the 255 thresholds; ``marked_curve``, ``found_curve``: shares of the picture
    marked, and rightly marked, at each; all float32 ``[255]``.  ``answered``: False for a frame
    that got no answer and counts as if nothing had been marked.
    """

    stamp_ns: int
    iou: float
    curve: NDArray[np.float32]
    marked_curve: NDArray[np.float32]
    found_curve: NDArray[np.float32]
    f_mask: float
    true_share: float
    marked_share: float
    point_hit: bool | None
    label_hit: bool | None
    box_iou: float | None
    latency_ms: float | None
    sync_error_ms: float | None
    true_labels: tuple[str, ...]
    flicker: float | None = None
    answered: bool = True

    def record(self, recording: str) -> dict[str, Any]:
        """One line of ``frames.jsonl``: what two runs are compared by."""
        return {
            "recording": recording,
            "stamp_ns": self.stamp_ns,
            "answered": self.answered,
            "iou": self.iou,
            "f": self.f_mask if self.true_share else None,
            "true_share": self.true_share,
            "marked_share": self.marked_share,
            "point_hit": self.point_hit,
            "label_hit": self.label_hit,
            "latency_ms": self.latency_ms,
            "sync_error_ms": self.sync_error_ms,
            "true_labels": list(self.true_labels),
        }


def score_frame(
    frame: ScoredFrame, flicker: float | None = None, answered: bool = True
) -> FrameScores:
    """Figures of one frame.  Raises DatasetError when mask and truth differ in size."""
    if frame.mask.shape != frame.truth.shape:
        raise DatasetError(
            f"mask {list(frame.mask.shape)} and truth {list(frame.truth.shape)} differ in size"
        )
    mask, truth = (frame.mask > 0)[None], (frame.truth > 0)[None]
    plain = mask.astype(np.float32)
    p = plain
    if frame.probability is not None:
        # Where the model kept quiet, its raw map is not an answer.
        p = np.where(mask.any(), frame.probability, 0.0)[None].astype(np.float32)
    counts = metrics.threshold_counts(p, truth)
    marked, found = counts[0][0] / truth.size, counts[1][0] / truth.size
    both = np.array([[(mask & truth).sum()]], float)
    whole = np.array([[mask.sum()]], float)
    return FrameScores(
        stamp_ns=frame.stamp_ns,
        iou=float(metrics.frame_iou(plain, truth)[0]),
        curve=metrics.f_of_counts(*counts)[0].astype(np.float32),
        marked_curve=marked.astype(np.float32),
        found_curve=found.astype(np.float32),
        f_mask=float(metrics.f_of_counts(whole, both, counts[2])[0, 0]),
        true_share=float(truth.mean()),
        marked_share=float(mask.mean()),
        point_hit=_hit(frame.point, truth[0]),
        label_hit=_label_hit(frame),
        box_iou=best_overlap(frame.boxes, box_of(truth[0])) if truth.any() else None,
        latency_ms=frame.latency_ms,
        sync_error_ms=frame.sync_error_ms,
        true_labels=tuple(frame.true_labels),
        flicker=flicker,
        answered=answered,
    )


def _hit(point: tuple[float, float] | None, truth: NDArray[np.bool_]) -> bool | None:
    if point is None:
        return None
    height, width = truth.shape
    x, y = min(max(int(point[0]), 0), width - 1), min(max(int(point[1]), 0), height - 1)
    return bool(truth[y, x])


def _label_hit(frame: ScoredFrame) -> bool | None:
    if not frame.true_labels:
        return None
    wanted = {name.casefold() for name in frame.true_labels}
    return any(name.casefold() in wanted for name in frame.labels)
