"""Two runs over the same frames: what differs, how sure that is, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation.metrics import Array, Difference, paired_difference
from avs_ros.evaluation.run_files import RunRecord

# name -> what it means, whether more is better, the column of ``frames.jsonl`` it is made of, and
# whether it asks for frames on which something sounds (True), nothing does (False), or all (None)
MEASURES: dict[str, tuple[str, bool, str, bool | None]] = {
    "m_j_frames": (
        "M_J, every frame equal, missed frames as if nothing was marked", True, "iou", None
    ),
    "m_j_sounding": ("mean IoU of frames on which something sounds", True, "iou", True),
    "f_sounding": (
        "mean F (beta² 0.3) of the mask, frames on which something sounds", True, "f", True
    ),
    "silent_empty": ("share of silent frames with nothing marked", True, "marked_share", False),
    "false_positive_rate": ("marked area on silent frames", False, "marked_share", False),
    "c_iou": (
        "marked pixels overlap the true boxes by half or more (VGG-SS)", True, "overlap", None
    ),
    "pointing": ("attention point lies on the sounding object", True, "point_hit", True),
    "label_accuracy": ("a label names the sounding object", True, "label_hit", None),
    "heard_accuracy": ("the sound is called by a right name", True, "heard_hit", None),
    "flicker": ("1 - IoU with the mask before, while the truth stays", False, "flicker", None),
    "answered": ("share of frames that got an answer", True, "answered", None),
    "latency_ms": ("age of the frame when its mask came, ms", False, "latency_ms", None),
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One frame on which the runs differ."""

    recording: str
    stamp_ns: int
    iou_a: float
    iou_b: float


@dataclass(frozen=True)
class Comparison:
    """``scores``, ``classes`` (IoU of a class's frames): name -> difference, B minus A.

    ``recordings``: name -> mean IoU in A and B; ``iou_changes``: B - A of every frame;
    ``largest``: frames with the largest changes of either sign.
    """

    name_a: str
    name_b: str
    frames: int
    scores: dict[str, Difference]
    classes: dict[str, Difference]
    recordings: dict[str, tuple[float, float]]
    iou_changes: list[float]
    largest: list[Change]


def compare(a: RunRecord, b: RunRecord, *, largest: int = 10) -> Comparison:
    """Compare frame by frame.

    Raises DatasetError when the runs do not have the same frames of the same recordings, or
    not the same truth on them.
    """
    first, second = _by_frame(a), _by_frame(b)
    keys = sorted(first)
    _check_same(a, first, b, second)
    rows_a, rows_b = [first[key] for key in keys], [second[key] for key in keys]
    names, clusters = np.unique([name for name, _ in keys], return_inverse=True)
    scores = {
        name: found
        for name in MEASURES
        if (found := paired_difference(_values(rows_a, name), _values(rows_b, name), clusters))
    }
    iou_a, iou_b = _likeness(rows_a), _likeness(rows_b)
    classes = {}
    for label in sorted({label for row in rows_a for label in row["true_labels"]}):
        chosen = np.array([label in row["true_labels"] for row in rows_a])
        if found := paired_difference(iou_a[chosen], iou_b[chosen], clusters[chosen]):
            classes[label] = found
    order = np.argsort(-np.abs(iou_b - iou_a), kind="stable")[:largest]
    return Comparison(
        a.name, b.name, len(keys), scores, classes,
        {
            str(name): (float(iou_a[clusters == i].mean()), float(iou_b[clusters == i].mean()))
            for i, name in enumerate(names)
        },
        (iou_b - iou_a).tolist(),
        [
            Change(keys[i][0], keys[i][1], float(iou_a[i]), float(iou_b[i]))
            for i in order if iou_a[i] != iou_b[i]
        ],
    )  # fmt: skip


Frames = Mapping[tuple[str, int], Mapping[str, Any]]


def _by_frame(run: RunRecord) -> Frames:
    try:
        found = {(str(row["recording"]), int(row["stamp_ns"])): row for row in run.frames}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"the frames of {run.name} lack recording or stamp_ns") from error
    if not found:
        raise DatasetError(f"{run.name} has no frames: there is nothing to compare")
    if len(found) != len(run.frames):
        raise DatasetError(
            f"{run.name} has recordings of the same name with the same stamps: their frames "
            "cannot be told apart; rename the bags and evaluate again"
        )
    return found


def _check_same(a: RunRecord, first: Frames, b: RunRecord, second: Frames) -> None:
    only_a, only_b = first.keys() - second.keys(), second.keys() - first.keys()
    if only_a or only_b:
        name, stamp_ns = min(only_a or only_b)
        raise DatasetError(
            f"the runs have different frames: {len(only_a)} are only in {a.name}, {len(only_b)} "
            f"only in {b.name} (for example {name} at {stamp_ns * 1e-9:.3f} s); evaluate both on "
            "the same bags with the same --truth"
        )
    for key, row in first.items():
        if abs(row["true_share"] - second[key]["true_share"]) > 1e-9:
            raise DatasetError(
                f"the runs have different truths, first for {key[0]} at {key[1] * 1e-9:.3f} s: "
                "evaluate both on the same bags"
            )


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Array:
    """One value a row; None becomes NaN, true and false 1 and 0."""
    return np.array([row.get(name) for row in rows], np.float64)


def _likeness(rows: Sequence[Mapping[str, Any]]) -> Array:
    """IoU; with boxes for a truth their overlap, or what is left unmarked in silence."""
    iou, overlap = _column(rows, "iou"), _column(rows, "overlap")
    boxes = np.where(np.isfinite(overlap), overlap, 1.0 - _column(rows, "marked_share"))
    return np.where(np.isfinite(iou), iou, boxes)


def _values(rows: Sequence[Mapping[str, Any]], measure: str) -> Array:
    """The measure frame by frame; NaN where it says nothing."""
    _, _, column, sounding = MEASURES[measure]
    values = _column(rows, column)
    if measure == "silent_empty":
        values = (values == 0).astype(np.float64)
    elif measure == "c_iou":
        values = np.where(np.isfinite(values), values >= 0.5, np.nan)
    elif measure == "pointing":
        values = np.nan_to_num(values)
    if sounding is None:
        return values
    return np.where((_column(rows, "true_share") > 0) == sounding, values, np.nan)
