"""Answers against truth, frame by frame, and what they come to.

One sheet serves the deterministic replay, the live replay and the node-side evaluator: each adds
what it has for a frame, and scores that need something nobody gave stay None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.frame_scores import FrameScores, ScoredFrame, reactions, score_frame
from avs_ros.evaluation.label_sets import LabelSets
from avs_ros.evaluation.metrics import mask_iou, mean, percentiles

# Two truths that overlap at least this much show the same sounding thing.
SAME_TRUTH = 0.9


@dataclass
class ScoreSheet:
    """Collects frames of one or more recordings; :meth:`result` says what they come to.

    ``names``: which labels are right (None: those known anyway).
    """

    batch_frames: int = 5
    names: LabelSets | None = None
    _rows: list[list[FrameScores]] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)
    _last: ScoredFrame | None = None

    def begin(self, name: str = "") -> None:
        """A new recording starts: nothing is compared across the border."""
        self._rows.append([])
        self._names.append(name)
        self._last = None

    @property
    def frames(self) -> int:
        """Count of scored frames."""
        return len(self._answered())

    def extend(self, other: ScoreSheet) -> None:
        """Take over another sheet's recordings."""
        self._rows += other._rows
        self._names += other._names

    def add(self, frame: ScoredFrame) -> float:
        """Score one frame at the size of its truth; returns its :attr:`FrameScores.likeness`."""
        if not self._rows:
            self.begin()
        frame = frame.fitted()
        row = score_frame(frame, self.names)
        if row.answered:
            row.flicker = self._flicker(frame)
            self._last = frame
        self._rows[-1].append(row)
        return row.likeness

    def _answered(self) -> list[FrameScores]:
        return [row for part in self._rows for row in part if row.answered]

    def values(self, name: str) -> list[float]:
        """A figure of every answered frame that has it, such as ``latency_ms``."""
        found = (getattr(row, name) for row in self._answered())
        return [value for value in found if value is not None]

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a frame, missed ones too, in order of recording and stamp."""
        return [
            row.record(name or f"recording {number}")
            for number, (name, part) in enumerate(zip(self._names, self._rows, strict=True), 1)
            for row in sorted(part, key=lambda one: one.stamp_ns)
        ]

    def precision_recall(self) -> dict[str, list[float]]:
        """``threshold``, ``precision``, ``recall``: 255 values each, pixels of all frames pooled
        with the same weight for every frame, silent ones included (what is marked there is wrong).
        Empty without true masks.
        """
        rows = _masked(self._answered())
        if not rows:
            return {"threshold": [], "precision": [], "recall": []}
        true = sum(row.true_share for row in rows)
        curves = np.array([(row.marked_curve, row.found_curve) for row in rows], np.float64)
        marked, found = curves.sum(axis=0)
        # Where nothing is marked any more, nothing marked is wrong.
        precision = np.divide(found, marked, out=np.ones_like(found), where=marked > 0)
        recall = found / true if true else np.zeros_like(found)
        columns = {"threshold": metrics.THRESHOLDS, "precision": precision, "recall": recall}
        return {
            name: [round(float(v), 5) for v in np.clip(column, 0, 1)]
            for name, column in columns.items()
        }

    def average_precision(self) -> float | None:
        """Area under precision over recall (steps); None when nothing is true."""
        curve = self.precision_recall()
        if not any(curve["recall"]):
            return None
        recall, precision = np.array(curve["recall"]), np.array(curve["precision"])
        steps = recall - np.append(recall[1:], 0.0)
        return float(np.sum(steps * precision))

    def running_iou(self) -> float | None:
        """Mean frame IoU so far; None before the first frame."""
        return mean(row.iou for row in _masked(self._answered()))

    def _flicker(self, frame: ScoredFrame) -> float | None:
        """1 - IoU with the mask before, where the truth stayed as it was."""
        last = self._last
        if (
            last is None or last.marked.shape != frame.marked.shape
            or {*last.true_labels} != {*frame.true_labels}
            or mask_iou(last.shown, frame.shown, empty=1.0) < SAME_TRUTH
        ):  # fmt: skip
            return None
        return 1.0 - mask_iou(last.marked, frame.marked, empty=1.0)

    def result(self) -> dict[str, Any]:
        """Scores by name (shares in 0..1, times in ms); None where nothing could be said.

        ``m_j``, ``m_f``: as AVSBench, ``batch_frames`` frames of one recording a batch;
        ``m_j_frames``, ``m_f_set``: batch-independent; ``m_j_missed_empty``: every frame equal,
        those without an answer counted as if nothing had been marked.
        ``average_precision``: of pixels, all frames pooled.  These need true masks.
        ``c_iou``: share of frames whose marked pixels overlap the true boxes, filled, by half or
        more; ``auc``: area under that share over all overlaps, both as VGG-SS computes them;
        ``box_c_iou``, ``box_auc``: the same for predicted boxes against the true ones.
        ``onset_ms``/``offset_ms``: medians of the time from a change of the truth to the first
        frame that follows it (and, where it is known, the age of that frame's answer);
        ``onsets``/``offsets``: how many changes there were, ``…_missed``: those never followed.
        """
        rows = self._answered()
        if not rows:
            raise DatasetError("no frame with a truth was answered: there is nothing to score")
        every = [row for part in self._rows for row in part]
        masked = [_masked(row for row in part if row.answered) for part in self._rows]
        batches = [
            part[i : i + self.batch_frames]
            for part in masked
            for i in range(0, len(part), self.batch_frames)
        ]
        sounding = [row for row in rows if row.true_share > 0]
        silent = [row for row in rows if row.true_share == 0]
        overlaps = [row.overlap for row in sounding if row.overlap is not None]
        boxes = [row.box_iou for row in sounding if row.box_iou is not None]
        return {
            "frames": len(rows),
            "missed_frames": len(every) - len(rows),
            "recordings": len(self._rows),
            "mask_frames": sum(len(part) for part in masked),
            "batch_frames": self.batch_frames,
            "m_j": mean(mean(row.iou for row in batch) for batch in batches),
            "m_f": mean(_best_f(batch) for batch in batches),
            "m_j_frames": mean(row.iou for row in rows),
            "m_j_missed_empty": mean(row.iou for row in every),
            "m_j_sounding": mean(row.iou for row in sounding),
            "m_f_set": _best_f(_masked(rows)) if batches else None,
            "average_precision": self.average_precision(),
            "silent_frames": len(silent),
            "silent_empty": mean(float(row.marked_share == 0) for row in silent),
            "false_positive_rate": mean(row.marked_share for row in silent),
            "pointing": mean(float(bool(row.point_hit)) for row in sounding),
            "label_accuracy": mean(row.label_hit for row in sounding),
            "heard_accuracy": mean(row.heard_hit for row in sounding),
            "c_iou": mean(float(value >= 0.5) for value in overlaps),
            "auc": metrics.success_auc(overlaps),
            "box_c_iou": mean(float(value >= 0.5) for value in boxes),
            "box_auc": metrics.success_auc(boxes),
            "flicker": mean(row.flicker for row in rows),
            **reactions(self._rows),
            "latency_ms": percentiles(row.latency_ms for row in rows),
            "sync_error_ms": percentiles(row.sync_error_ms for row in rows),
            "classes": _by_class(sounding),
        }


def _best_f(rows: Sequence[FrameScores]) -> float:
    curves = [row.curve for row in rows if row.true_share > 0 and row.curve is not None]
    return float(np.mean(np.stack(curves), axis=0).max()) if curves else 0.0


def _masked(rows: Iterable[FrameScores]) -> list[FrameScores]:
    """Those whose truth is a mask."""
    return [row for row in rows if row.iou is not None]


def _by_class(rows: Sequence[FrameScores]) -> dict[str, dict[str, float | None]]:
    out: dict[str, dict[str, float | None]] = {}
    for name in sorted({name for row in rows for name in row.true_labels}):
        chosen = [row for row in rows if name in row.true_labels]
        out[name] = {
            "frames": len(chosen),
            "m_j": mean(row.iou for row in chosen),
            "c_iou": mean(float((row.overlap or 0.0) >= 0.5) for row in chosen),
            "label_accuracy": mean(row.label_hit for row in chosen),
        }
    return out
