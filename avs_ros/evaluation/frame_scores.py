"""What is kept of one answered (or missed) frame: figures, not images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation import metrics
from avs_ros.evaluation.boxes import Box, best_overlap, box_of, filled
from avs_ros.evaluation.label_sets import LabelSets

# A mask that overlaps the truth by more follows it; less may be chance.
FOLLOWS = 0.1
# Of a line of ``frames.jsonl``, beside its recording, in order.
RECORDED = (
    "stamp_ns", "answered", "iou", "f", "overlap", "box_iou", "true_share", "marked_share",
    "point_hit", "label_hit", "heard_hit", "flicker", "latency_ms", "sync_error_ms", "true_labels",
)  # fmt: skip


@dataclass(frozen=True)
class ScoredFrame:
    """What was answered for one frame, and what is true.

    ``mask``, ``truth``: ``[h, w]``, above 0 = sounding.  ``mask`` None: no answer came, which
    counts as if nothing had been marked.  ``truth`` None: only ``true_boxes`` (px of the image,
    whose ``shape`` helps where there is no mask) are known; empty = nothing sounds.
    ``probability``: float ``[h, w]`` 0..1, None if it was not recorded (M_F then rests on the mask
    alone).  ``labels``/``true_labels``: names of what was marked and of the sounding object;
    ``heard``: name of the sound that was heard, None where the answer does not say; ``boxes``:
    predicted boxes; ``point``: attention point [x, y] px.  ``latency_ms``: age of the frame when
    its answer came.
    """

    stamp_ns: int
    mask: NDArray[Any] | None
    truth: NDArray[Any] | None
    probability: NDArray[Any] | None = None
    labels: Sequence[str] = ()
    true_labels: Sequence[str] = ()
    boxes: Sequence[Box] = ()
    point: tuple[float, float] | None = None
    latency_ms: float | None = None
    sync_error_ms: float | None = None
    true_boxes: Sequence[Box] = ()
    heard: str | None = None
    shape: tuple[int, ...] = ()

    @cached_property
    def marked(self) -> NDArray[np.bool_]:
        """What was marked, bool ``[h, w]``."""
        if self.mask is not None:
            return np.asarray(self.mask > 0)
        if self.truth is not None:
            return np.zeros(self.truth.shape, bool)
        # Without the image's size, boxes are as good in one that just holds them.
        side = max((math.ceil(edge) for box in self.true_boxes for edge in box[2:]), default=1)
        return np.zeros(self.shape or (side, side), bool)

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """The sounding object, bool ``[h, w]``: the true mask, or the true boxes filled."""
        if self.truth is None:
            return filled(self.true_boxes, self.marked.shape)
        return np.asarray(self.truth > 0)

    def fitted(self) -> ScoredFrame:
        """The same with mask, probability, boxes and point at the size of the true mask."""
        if self.truth is None or self.mask is None or self.mask.shape == self.truth.shape:
            return self
        height, width = self.truth.shape
        sx, sy = width / self.mask.shape[1], height / self.mask.shape[0]
        mask = cv2.resize(self.mask, (width, height), interpolation=cv2.INTER_NEAREST)
        probability, point = self.probability, self.point
        if probability is not None:
            probability = np.asarray(cv2.resize(probability, (width, height)), np.float32)
        return replace(
            self, mask=np.asarray(mask), probability=probability,
            boxes=[(x0 * sx, y0 * sy, x1 * sx, y1 * sy) for x0, y0, x1, y1 in self.boxes],
            point=None if point is None else (point[0] * sx, point[1] * sy),
        )  # fmt: skip


@dataclass
class FrameScores:
    """Figures of one frame; None where the truth, or the answer, says nothing about it.

    ``iou``: with the true mask; ``overlap``: of the marked pixels with the true boxes, filled
    (VGG-SS); ``box_iou``: of the predicted boxes with the true ones.  True boxes are those of the
    truth, or the one around its mask; both are None where nothing sounds.
    ``f``: of the mask, None where nothing sounds.  ``curve``: F at the 255 thresholds;
    ``marked_curve``, ``found_curve``: shares of the image marked, and rightly marked, at each; all
    float32 ``[255]``, None without a true mask.
    ``answered``: False for a frame that got no answer and counts as if nothing had been marked.
    """

    stamp_ns: int
    answered: bool
    true_share: float
    marked_share: float
    true_labels: tuple[str, ...]
    point_hit: bool | None
    label_hit: bool | None
    heard_hit: bool | None
    overlap: float | None
    box_iou: float | None
    latency_ms: float | None
    sync_error_ms: float | None
    iou: float | None = None
    curve: NDArray[np.float32] | None = None
    marked_curve: NDArray[np.float32] | None = None
    found_curve: NDArray[np.float32] | None = None
    f: float | None = None
    flicker: float | None = None

    @property
    def likeness(self) -> float:
        """How near the answer is to the truth, whatever kind of truth there is: 0..1."""
        if self.iou is not None:
            return self.iou
        if self.overlap is not None:
            return self.overlap
        return 1.0 - self.marked_share

    def record(self, recording: str) -> dict[str, Any]:
        """One line of ``frames.jsonl``: what two runs are compared by."""
        return {"recording": recording, **{name: getattr(self, name) for name in RECORDED}}


def score_frame(frame: ScoredFrame, names: LabelSets | None = None) -> FrameScores:
    """Figures of one frame whose mask and truth are of one size (see ``fitted``)."""
    mask, truth = frame.marked, frame.shown
    around = box_of(truth) if frame.truth is not None else None
    boxes = [around] if around is not None else list(frame.true_boxes)
    names = names or LabelSets()
    named = bool(frame.true_labels)
    scores = FrameScores(
        stamp_ns=frame.stamp_ns,
        answered=frame.mask is not None,
        true_share=float(truth.mean()),
        marked_share=float(mask.mean()),
        point_hit=_hit(frame.point, truth),
        label_hit=names.sees(frame.labels, frame.true_labels) if named else None,
        heard_hit=(
            names.hears(frame.heard, frame.true_labels)
            if named and frame.heard is not None else None
        ),
        overlap=metrics.mask_iou(mask, filled(boxes, mask.shape)) if truth.any() else None,
        box_iou=best_overlap(frame.boxes, boxes) if truth.any() else None,
        latency_ms=frame.latency_ms,
        sync_error_ms=frame.sync_error_ms,
        true_labels=tuple(frame.true_labels),
    )
    if frame.truth is not None:
        _score_mask(scores, frame, mask[None], truth[None])
    return scores


def _score_mask(
    scores: FrameScores, frame: ScoredFrame, mask: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> None:
    """Fill in what only a true mask can say; both masks are ``[1, h, w]``."""
    p = plain = mask.astype(np.float32)
    if frame.probability is not None:
        # Where the model kept quiet, its raw map is not an answer.
        p = np.where(mask.any(), frame.probability, 0.0)[None].astype(np.float32)
    counts = metrics.threshold_counts(p, truth)
    both = np.array([[(mask & truth).sum()]], float)
    whole = np.array([[mask.sum()]], float)
    scores.iou = float(metrics.frame_iou(plain, truth)[0])
    scores.curve = metrics.f_of_counts(*counts)[0].astype(np.float32)
    scores.marked_curve = (counts[0][0] / truth.size).astype(np.float32)
    scores.found_curve = (counts[1][0] / truth.size).astype(np.float32)
    if truth.any():
        scores.f = float(metrics.f_of_counts(whole, both, counts[2])[0, 0])


def _hit(point: tuple[float, float] | None, truth: NDArray[np.bool_]) -> bool | None:
    if point is None:
        return None
    height, width = truth.shape
    x, y = min(max(int(point[0]), 0), width - 1), min(max(int(point[1]), 0), height - 1)
    return bool(truth[y, x])


def reactions(recordings: Sequence[Sequence[FrameScores]]) -> dict[str, Any]:
    """``onset_ms``, ``onsets``, ``onsets_missed``, and the same for offsets.

    A change is at the first frame whose truth differs from the frame's before (answered or not).
    It is followed by the first answered frame, before the next change, that has the sounding thing
    marked, or nothing marked; the time is between the two stamps, plus the age of that answer
    where it is known.
    """
    found: dict[bool, list[float | None]] = {True: [], False: []}
    for part in recordings:
        rows = sorted(part, key=lambda row: row.stamp_ns)
        for index, (before, row) in enumerate(pairwise(rows), 1):
            if (sounds := row.true_share > 0) != (before.true_share > 0):
                found[sounds].append(_followed(rows[index:], sounds))
    out: dict[str, Any] = {}
    for sounds, name in ((True, "onset"), (False, "offset")):
        times = [time for time in found[sounds] if time is not None]
        out[f"{name}_ms"] = float(np.median(times)) if times else None
        out[f"{name}s"] = len(found[sounds])
        out[f"{name}s_missed"] = len(found[sounds]) - len(times)
    return out


def _followed(rows: Sequence[FrameScores], sounds: bool) -> float | None:
    """Milliseconds from the first of ``rows`` to the one that follows it; None: none does."""
    for row in rows:
        if (row.true_share > 0) != sounds:
            return None
        if not row.answered:
            continue
        marked = row.marked_share > 0
        if (marked and row.likeness > FOLLOWS) if sounds else not marked:
            return (row.stamp_ns - rows[0].stamp_ns) * 1e-6 + (row.latency_ms or 0.0)
    return None
