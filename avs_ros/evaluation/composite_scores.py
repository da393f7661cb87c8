"""What the answers of the composite benchmark come to, per class and over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from avs_ros.evaluation.composite import BOTH, KINDS, MATCHED, MISMATCHED, SILENT, TWO
from avs_ros.evaluation.composite_benchmark import REACTION, ScoredCase
from avs_ros.evaluation.label_sets import LabelSets, names_it
from avs_ros.evaluation.metrics import Difference, grouped_difference, mean
from avs_ros.evaluation.worst import WorstFrames

# Marks smaller than this share of the image count as nothing.
NEGLIGIBLE = 0.002
NAMES = {MATCHED: "matched", MISMATCHED: "mismatched", SILENT: "silent", TWO: "two", BOTH: "both"}


def _named(answer: ScoredCase) -> float | None:
    return float(names_it(answer.labels, answer.case.category)) if answer.labels else None


def _heard(answer: ScoredCase) -> float | None:
    if not answer.audio_label:
        return None
    return float(LabelSets().hears(answer.audio_label, [answer.case.category]))


def _empty(answer: ScoredCase) -> float:
    return float(answer.marked < NEGLIGIBLE)


# Scores that are means: name -> (kind of case, what one answer is worth, None: not asked).
Worth = Callable[[ScoredCase], float | None]
MEANS: dict[str, tuple[str, Worth]] = {
    "m_j": (MATCHED, lambda a: a.iou),
    "marked": (MATCHED, lambda a: 1.0 - _empty(a)),
    "label_accuracy": (MATCHED, _named),
    "heard_accuracy": (MATCHED, _heard),
    "mismatch_empty": (MISMATCHED, _empty),
    "mismatch_empty_new": (MISMATCHED, lambda a: _empty(a) if a.case.new else None),
    "mismatch_false": (MISMATCHED, lambda a: a.marked),
    "silence_empty": (SILENT, _empty),
    "two_share": (TWO, lambda a: a.right),
    "two_share_new": (TWO, lambda a: a.right if a.case.new else None),
    "two_by_area": (TWO, lambda a: None if a.right is None else a.by_area),
    "two_answered": (TWO, lambda a: float(a.right is not None)),
    "silent_marked": (TWO, lambda a: a.silent_marked),
    "both_marked": (BOTH, lambda a: float(a.found == 2)),
    "both_answered": (BOTH, lambda a: float((a.found or 0) > 0)),
}
# score -> what it means, in the order of the tables
MEANINGS: dict[str, str] = {
    "m_j": "M_J: mean IoU with the sounding object, matching sound",
    "m_j_classes": "the same, every class equal",
    "marked": "share of matching sounds with anything marked",
    "label_accuracy": "a name given is right, of matched cases with something marked",
    "heard_accuracy": "the sound is called by a right name, matched cases",
    "mismatch_empty": "share of mismatched sounds with nothing marked",
    "mismatch_empty_new": "the same, of sounds that training never put beside what is seen",
    "mismatch_false": "marked share of the image under a mismatched sound",
    "silence_empty": "share of silent cases with nothing marked",
    "two_share": "two things, one sounds: share of their marked pixels on the sounding one",
    "two_share_new": "the same, where training never put the silent one beside that sound",
    "two_by_area": "what marking both would give",
    "two_answered": "two things: share of cases in which either was marked",
    "silent_marked": "share of the silent thing that is marked beside the sounding one",
    "two_share_larger": "two_share where the sounding thing is the larger one",
    "two_share_smaller": "two_share where the sounding thing is the smaller one",
    "both_marked": "two things, both sound: share of cases with both marked, each by its name",
    "both_answered": "the same, with one of them marked at least",
    "salience_bias": "larger less smaller: 0 for a model that goes by the sound alone",
    **REACTION,
}


def score(answers: Sequence[ScoredCase]) -> dict[str, Any]:
    """Scores by name (``MEANINGS`` but ``REACTION``), None where no case asks for it; counts."""
    found: dict[str, Any] = {
        NAMES[kind]: sum(a.case.kind == kind for a in answers) for kind in KINDS
    }
    for name, (kind, worth) in MEANS.items():
        found[name] = mean(worth(a) for a in answers if a.case.kind == kind)
    matched = [a for a in answers if a.case.kind == MATCHED]
    found["m_j_classes"] = mean(
        mean(a.iou for a in matched if a.case.category == category)
        for category in sorted({a.case.category for a in matched})
    )
    shared = [a for a in answers if a.case.kind == TWO and a.right is not None]
    high = mean(a.right for a in shared if (a.by_area or 0) > 0.5)
    low = mean(a.right for a in shared if (a.by_area or 0) <= 0.5)
    found |= {"two_share_larger": high, "two_share_smaller": low}
    found["salience_bias"] = None if high is None or low is None else high - low
    return found


def intervals(answers: Sequence[ScoredCase]) -> dict[str, tuple[float, float] | None]:
    """Ends of the 95 % interval of each of ``MEANS``, drawing whole images; None for few."""
    means = lead(answers, None)
    return {name: None if mean is None else mean.ends for name, mean in means.items()}


def lead(
    first: Sequence[ScoredCase], other: Sequence[ScoredCase] | None
) -> dict[str, Difference | None]:
    """What ``first`` has more than ``other`` (None: than nothing) in each of ``MEANS``, case by
    case.
    """
    images = [answer.case.image.name for answer in first]
    return {
        name: grouped_difference(
            None if other is None else _values(other, name), _values(first, name), images
        )
        for name in MEANS
    }


def _values(answers: Sequence[ScoredCase], name: str) -> list[float | None]:
    kind, worth = MEANS[name]
    return [worth(a) if a.case.kind == kind else None for a in answers]


def by_class(answers: Sequence[ScoredCase]) -> dict[str, dict[str, Any]]:
    """Class -> :func:`score` of its cases: the sounding object, or what tempts."""
    names = sorted({answer.case.category for answer in answers})
    return {name: score([a for a in answers if a.case.category == name]) for name in names}


def badness(answer: ScoredCase) -> float:
    """How wrong an answer is, 0..1; the page shows the worst."""
    if answer.case.kind in (MISMATCHED, SILENT):
        return answer.marked
    if answer.case.kind == BOTH:
        return 1.0 - 0.5 * (answer.found or 0)
    if answer.case.kind == TWO:
        return answer.silent_marked or 0.0
    return 1.0 - (answer.iou or 0.0)


class WorstPredictions:
    """Looks at every answer once and keeps the images of few."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` of each kind."""
        self._kept = {kind: WorstFrames(most) for kind in KINDS}

    def keep(self, answer: ScoredCase) -> ScoredCase:
        """The answer without its images, which are kept here if it is among the worst."""
        shown, bad = answer.shown, badness(answer)
        if bad > 0 and shown:
            worst = self._kept[answer.case.kind]
            worst.keep(bad, _description(answer), *shown)
        return replace(answer, shown=None)

    def images(self) -> dict[str, list[tuple[bytes, str]]]:
        """Kind -> (JPEG, words), the worst first; kinds without a mistake are left out."""
        return {
            kind: [(one.jpeg, one.description) for one in worst.frames]
            for kind, worst in self._kept.items()
            if worst.frames
        }


def _description(answer: ScoredCase) -> str:
    case = answer.case
    sound = " and ".join(one.sound for one in case.recordings) or "silence"
    sound += {0: "", 1: " sounds"}.get(len(case.recordings), " sound")
    silent = f", {case.other} does not" if case.other and case.also is None else ""
    iou = "" if answer.iou is None else f", IoU {answer.iou:.2f}"
    return (
        f"{sound}{silent}: marked {', '.join(answer.labels) or 'nothing'} "
        f"({answer.marked:.0%}{iou}); {case.name}"
    )
