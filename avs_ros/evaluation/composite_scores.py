"""What the answers of the composite benchmark come to, per class and over all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from avs_ros.evaluation.composite import BOTH, KINDS, MISMATCHED, SILENT, TWO, Answer
from avs_ros.evaluation.label_sets import names_it

# Marks smaller than this share of the picture count as nothing.
NEGLIGIBLE = 0.002

# score -> what it means, in the order of the tables
MEANINGS: dict[str, str] = {
    "m_j": "M_J: mean IoU with what sounds, matching sound",
    "m_j_classes": "the same, every class equal",
    "label_accuracy": "a name given is right, of matched cases with something marked",
    "mismatch_empty": "share of mismatched sounds with nothing marked",
    "mismatch_false": "marked share of the picture under a mismatched sound",
    "silence_empty": "share of silent cases with nothing marked",
    "two_share": "two things, one sounds: share of their marked pixels on the sounding one",
    "two_by_area": "what marking both would give",
    "two_answered": "two things: share of cases in which either was marked",
    "silent_marked": "share of the silent thing that is marked beside the sounding one",
    "two_share_larger": "two_share where the sounding thing is the larger one",
    "two_share_smaller": "two_share where the sounding thing is the smaller one",
    "both_marked": "two things, both sound: share of cases with both marked, each by its name",
    "both_answered": "the same, with one of them marked at least",
    "salience_bias": "larger less smaller: 0 for a model that goes by the sound alone",
}


def score(answers: Sequence[Answer]) -> dict[str, Any]:
    """Scores by name (see ``MEANINGS``), None where no case asked for it, and counts."""
    kinds = {kind: [a for a in answers if a.case.kind == kind] for kind in KINDS}
    matched, mismatched, silent, two, both = kinds.values()
    shared = [a for a in two if a.right is not None]
    larger = [a.right for a in shared if (a.by_area or 0) > 0.5]
    smaller = [a.right for a in shared if (a.by_area or 0) <= 0.5]
    high, low = _mean(larger), _mean(smaller)
    return {
        "matched": len(matched),
        "m_j": _mean(a.iou for a in matched),
        "m_j_classes": _mean(
            _mean(a.iou for a in matched if a.case.family == family)
            for family in sorted({a.case.family for a in matched})
        ),
        "label_accuracy": _mean(
            float(names_it(a.labels, a.case.family)) for a in matched if a.labels
        ),
        "mismatched": len(mismatched),
        "mismatch_empty": _mean(float(a.marked < NEGLIGIBLE) for a in mismatched),
        "mismatch_false": _mean(a.marked for a in mismatched),
        "silent": len(silent),
        "silence_empty": _mean(float(a.marked < NEGLIGIBLE) for a in silent),
        "two": len(two),
        "two_share": _mean(a.right for a in shared),
        "two_by_area": _mean(a.by_area for a in shared),
        "two_answered": len(shared) / len(two) if two else None,
        "silent_marked": _mean(a.silent_marked for a in two),
        "two_share_larger": high,
        "two_share_smaller": low,
        "both": len(both),
        "both_marked": _mean(float(a.found == 2) for a in both),
        "both_answered": _mean(float((a.found or 0) > 0) for a in both),
        "salience_bias": None if high is None or low is None else high - low,
    }


def by_class(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Class -> :func:`score` of its cases: what sounds, or what tempts."""
    names = sorted({answer.case.family for answer in answers})
    return {name: score([a for a in answers if a.case.family == name]) for name in names}


def badness(answer: Answer) -> float:
    """How wrong an answer is, 0..1; the page shows the worst."""
    if answer.case.kind in (MISMATCHED, SILENT):
        return answer.marked
    if answer.case.kind == BOTH:
        return 1.0 - 0.5 * (answer.found or 0)
    if answer.case.kind == TWO:
        return answer.silent_marked or 0.0
    return 1.0 - (answer.iou or 0.0)


def _mean(values: Iterable[float | None]) -> float | None:
    listed = [value for value in values if value is not None]
    return float(np.mean(listed)) if listed else None
