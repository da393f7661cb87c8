"""Answers against truth, frame by frame, and what they come to.

One sheet serves the deterministic replay, the live replay and the node-side evaluator: each adds
what it has for a frame, and scores that need something nobody gave stay None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.frame_scores import Box, FrameScores, ScoredFrame, score_frame

__all__ = ["Box", "FrameScores", "ScoreSheet", "ScoredFrame"]

# Two truths that overlap at least this much show the same sounding thing.
SAME_TRUTH = 0.9


@dataclass
class ScoreSheet:
    """Collects frames of one or more recordings; :meth:`result` says what they come to."""

    batch_frames: int = 5
    _rows: list[list[FrameScores]] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)
    _missed: int = 0
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
        self._missed += other._missed

    def miss(self, frames: int = 1) -> None:
        """Frames with a truth that is not at hand got no answer: they are only counted."""
        self._missed += frames

    def add_missed(
        self, stamp_ns: int, truth: NDArray[Any], labels: Sequence[str] = ()
    ) -> None:
        """A frame with a truth ``[h, w]`` got no answer at all."""
        if not self._rows:
            self.begin()
        nothing = ScoredFrame(stamp_ns, np.zeros_like(truth), truth, true_labels=labels)
        self._rows[-1].append(score_frame(nothing, answered=False))

    def add(self, frame: ScoredFrame) -> float:
        """Score one frame; returns its IoU.  Raises DatasetError when the sizes differ."""
        if not self._rows:
            self.begin()
        row = score_frame(frame, self._flicker(frame))
        self._rows[-1].append(row)
        self._last = frame
        return row.iou

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
        """
        rows = self._answered()
        true = sum(row.true_share for row in rows)
        marked = np.sum([row.marked_curve for row in rows], axis=0, dtype=np.float64)
        found = np.sum([row.found_curve for row in rows], axis=0, dtype=np.float64)
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
        values = [row.iou for row in self._answered()]
        return float(np.mean(values)) if values else None

    def _flicker(self, frame: ScoredFrame) -> float | None:
        """1 - IoU with the mask before, where the truth stayed as it was."""
        last = self._last
        if last is None or last.truth.shape != frame.truth.shape:
            return None
        if _overlap(last.truth > 0, frame.truth > 0) < SAME_TRUTH:
            return None
        return 1.0 - _overlap(last.mask > 0, frame.mask > 0)

    def result(self) -> dict[str, Any]:
        """Scores by name (shares in 0..1, times in ms); None where nothing could be said.

        ``m_j``, ``m_f``: as AVSBench, ``batch_frames`` frames of one recording a batch;
        ``m_j_frames``, ``m_f_set``: batch-independent; ``m_j_missed_empty``: every frame equal,
        those without an answer counted as if nothing had been marked.
        ``average_precision``: of pixels, all frames pooled.
        ``c_iou``: share of frames whose best box overlaps the true one by half or more, ``auc``:
        area under that share over all overlaps.  ``onset_ms``/``offset_ms``: medians of the time
        from a change of the truth to the first frame that follows it.
        """
        rows = self._answered()
        if not rows:
            raise DatasetError("no frame with a truth was answered: there is nothing to score")
        every = [row for part in self._rows for row in part]
        answered = [[row for row in part if row.answered] for part in self._rows]
        batches = [
            part[i : i + self.batch_frames]
            for part in answered
            for i in range(0, len(part), self.batch_frames)
        ]
        sounding = [row for row in rows if row.true_share > 0]
        silent = [row for row in rows if row.true_share == 0]
        onset, offset = self._reactions()
        overlaps = [row.box_iou for row in sounding if row.box_iou is not None]
        steps = np.linspace(0, 1, 21)
        return {
            "frames": len(rows),
            "missed_frames": self._missed + len(every) - len(rows),
            "recordings": len(self._rows),
            "batch_frames": self.batch_frames,
            "m_j": float(np.mean([np.mean([r.iou for r in b]) for b in batches])),
            "m_f": float(np.mean([_best_f(b) for b in batches])),
            "m_j_frames": float(np.mean([r.iou for r in rows])),
            "m_j_missed_empty": float(np.mean([r.iou for r in every])),
            "m_j_sounding": _mean(r.iou for r in sounding),
            "m_f_set": _best_f(rows),
            "average_precision": self.average_precision(),
            "silent_frames": len(silent),
            "silent_empty": _mean(float(r.marked_share == 0) for r in silent),
            "false_positive_rate": _mean(r.marked_share for r in silent),
            "pointing": _mean(float(bool(r.point_hit)) for r in sounding),
            "label_accuracy": _mean(
                float(r.label_hit) for r in sounding if r.label_hit is not None
            ),
            "c_iou": _mean(float(v >= 0.5) for v in overlaps),
            "auc": _mean(float(np.mean(v >= steps)) for v in overlaps),
            "flicker": _mean(r.flicker for r in rows if r.flicker is not None),
            "onset_ms": onset,
            "offset_ms": offset,
            "latency_ms": _percentiles(r.latency_ms for r in rows),
            "sync_error_ms": _percentiles(r.sync_error_ms for r in rows),
            "classes": _by_class(sounding),
        }

    def _reactions(self) -> tuple[float | None, float | None]:
        on: list[float] = []
        off: list[float] = []
        for every in self._rows:
            part = [row for row in every if row.answered]
            for before, now in zip(range(len(part)), range(1, len(part))):
                was, is_now = part[before].true_share > 0, part[now].true_share > 0
                if was == is_now:
                    continue
                followed = None
                for row in part[now:]:
                    if (row.true_share > 0) != is_now:
                        break
                    if (
                        (row.marked_share > 0 and row.iou > 0.1)
                        if is_now
                        else not row.marked_share
                    ):
                        followed = (row.stamp_ns - part[now].stamp_ns) * 1e-6
                        break
                if followed is not None:
                    (on if is_now else off).append(followed)
        return (
            float(np.median(on)) if on else None,
            float(np.median(off)) if off else None,
        )


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def _best_f(rows: Sequence[FrameScores]) -> float:
    curves = [row.curve for row in rows if row.true_share > 0]
    return float(np.mean(curves, axis=0).max()) if curves else 0.0


def _mean(values: Any) -> float | None:
    listed = list(values)
    return float(np.mean(listed)) if listed else None


def _percentiles(values: Any) -> dict[str, float] | None:
    listed = [v for v in values if v is not None]
    if not listed:
        return None
    return {f"p{q}": float(np.percentile(listed, q)) for q in (50, 95, 99)}


def _by_class(rows: Sequence[FrameScores]) -> dict[str, dict[str, float]]:
    names = sorted({name for row in rows for name in row.true_labels})
    out = {}
    for name in names:
        chosen = [row for row in rows if name in row.true_labels]
        out[name] = {
            "frames": len(chosen),
            "m_j": float(np.mean([row.iou for row in chosen])),
            "label_accuracy": float(np.mean([bool(row.label_hit) for row in chosen])),
        }
    return out
