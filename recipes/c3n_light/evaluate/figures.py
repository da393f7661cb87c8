"""The figures of the model card, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avs_ros.evaluation.bootstrap import paired_difference
from recipes.c3n_light.evaluate.answers import Answer
from recipes.c3n_light.evaluate.cases import (
    BOTH,
    HISS,
    MATCHED,
    MISMATCHED,
    NEW_MISMATCHED,
    NEW_TWO,
    SILENT,
    TWO,
)

RESAMPLES = 2000
# Where the truth is not the VOC-21 network's own opinion, so that it can be judged as well.
BY_HAND = "M_J, pairs outlined by hand"
AIMED = ("person", "dog", "cat", "car", "bus", "train")
_EMPTY_KINDS = {
    MISMATCHED: "mismatched sound",
    NEW_MISMATCHED: "mismatched sound, pair held out",
    SILENT: "silence",
    HISS: "noise, -50 to -20 dBFS",
}
_TWO_KINDS = {TWO: "two objects", NEW_TWO: "two objects, pair held out"}


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, on how many cases, the value, and its 95 % interval.

    ``low``, ``high``: None where there are too few pictures to say.
    """

    name: str
    count: int
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        ends = "" if self.low is None else f"  {self.low:.3f} .. {self.high:.3f}"
        return f"{self.name:<46s} {self.count:6d} {self.value:9.3f}{ends}"


def row(name: str, values: Sequence[float], groups: Sequence[str]) -> Row:
    """Mean of ``values``; ``groups``: the picture or recording of each (drawn whole)."""
    if not values:
        return Row(name, 0, float("nan"))
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    own = np.asarray(values, np.float64)
    found = paired_difference(np.zeros_like(own), own, index, resamples=RESAMPLES)
    assert found is not None
    return Row(name, len(own), float(own.mean()), found.low, found.high)


def rows_of(answers: Sequence[Answer]) -> list[Row]:
    """Every figure that rests on single frames."""
    matched = [a for a in answers if a.case.kind == MATCHED]
    families = sorted({a.case.family for a in matched})
    rows = [_iou(f"M_J, {name}", [a for a in matched if a.case.family == name])
            for name in families]  # fmt: skip
    rows.append(_iou("M_J, all pairs", matched))
    by_hand = [a for a in matched if a.case.by_hand]
    rows.append(_iou(BY_HAND, by_hand))
    others = [a for a in matched if a.case.family != "person"]
    rows.append(_iou("M_J, pairs without person", others))
    means = [r.value for r in rows[: len(families)]]
    rows.append(Row("M_J, mean over families", len(means), _average(means)))
    aimed = [r.value for r, name in zip(rows, families, strict=False) if name in AIMED]
    rows.append(Row(f"M_J, mean of {', '.join(AIMED)}", len(aimed), _average(aimed)))
    answered = [a for a in matched if not a.empty]
    rows.append(_mean("matching sound: something is marked", matched, "empty", inverse=True))
    rows.append(_iou("M_J, of those in which something is marked", answered))
    rows.append(_mean("label of the right family, when marked", matched, "named"))
    for kind, words in _EMPTY_KINDS.items():
        of_kind = [a for a in answers if a.case.kind == kind]
        rows.append(_mean(f"{words}: empty share", of_kind, "empty"))
        rows.append(_mean(f"{words}: false pixels", of_kind, "area"))
    for kind, words in _TWO_KINDS.items():
        of_kind = [a for a in answers if a.case.kind == kind]
        rows.append(_mean(f"{words}: share on the sounding one", of_kind, "right"))
        rows.append(_mean(f"{words}: share that plain area gives", of_kind, "by_area"))
        found = [float(a.right is not None) for a in of_kind]
        groups = [a.case.picture for a in of_kind]
        rows.append(row(f"{words}: either was marked", found, groups))
    both = [a for a in answers if a.case.kind == BOTH]
    rows.append(_mean(f"{BOTH}: both marked, each with its label", both, "both"))
    rows.append(_mean(f"{BOTH}: one of them at least", both, "either"))
    return rows


def _average(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _iou(name: str, answers: Sequence[Answer]) -> Row:
    return _mean(name, answers, "iou")


def _mean(name: str, answers: Sequence[Answer], score: str, inverse: bool = False) -> Row:
    known = [(a, value) for a in answers if (value := getattr(a, score)) is not None]
    values = [1.0 - value if inverse else value for _, value in known]
    return row(name, values, [a.case.picture for a, _ in known])
