"""The page of the composite benchmark: scores of each class, and images of the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avs_ros.evaluation.composite_scores import MEANINGS
from avs_ros.evaluation.metrics import Difference
from avs_ros.report.charts import bars
from avs_ros.report.page import render, short

# score -> head of its column in the table of classes; short, for a terminal of 80 columns
COLUMNS: dict[str, str] = {
    "matched": "fits: pairs",
    "m_j": "fits: M_J",
    "label_accuracy": "fits: label",
    "mismatch_empty": "other: empty",
    "mismatch_false": "other: marked",
    "silence_empty": "none: empty",
    "two": "two: scenes",
    "two_share": "two: right",
}
# score -> heading of the table that sets the models side by side, class by class
SIDE_BY_SIDE: dict[str, str] = {
    "m_j": "M_J by class, matching sound",
    "two_share": "Two things: share of the marks on the sounding one",
    "mismatch_empty": "Another class sounds: share left empty",
    "silent_marked": "Two things: share of the silent one that is marked",
}
LEGEND = (
    "fits: the sound is this class's (M_J, share of right labels); other: it is of a class that "
    "is not there (share left empty, marked area); none: no sound; two: two things, this one "
    "sounds (share of the two things' marked pixels that is on it)."
)
HEADLINE = (
    ("m_j", "M_J, matching sound"),
    ("mismatch_empty", "mismatched sounds left empty"),
    ("silence_empty", "silent cases left empty"),
    ("two_share", "of the marks on the one that sounds"),
)


def number(value: float | None) -> str:
    """Counts as they are, shares with three digits, a dash for nothing."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


@dataclass(frozen=True)
class ModelResult:
    """One model: ``scores`` and ``classes`` of ``composite_scores``; ``engine`` it ran on.

    ``worst``: kind of case -> (JPEG, words).  ``intervals``: score -> ends of its 95 % interval.
    ``behind``: score -> what the first model has more, with its interval; empty for the first.
    """

    engine: str
    scores: Mapping[str, Any]
    classes: Mapping[str, Mapping[str, Any]]
    worst: Mapping[str, Sequence[tuple[bytes, str]]]
    intervals: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    behind: Mapping[str, Difference | None] = field(default_factory=dict)

    def cell(self, name: str) -> str:
        """A score, and its interval where there is one."""
        ends = self.intervals.get(name)
        tail = "" if ends is None else f" ({ends[0]:.3f}..{ends[1]:.3f})"
        return number(self.scores[name]) + tail


def lead_rows(models: Mapping[str, ModelResult]) -> list[tuple[str, ...]]:
    """Score, and what the first model has more of it than each other one, with the interval."""
    found = [(name, [one.behind.get(name) for one in [*models.values()][1:]]) for name in MEANINGS]
    return [(name, *map(_difference, leads)) for name, leads in found if any(leads)]


def _difference(found: Difference | None) -> str:
    if found is None:
        return "-"
    tail = " ({:+.3f}..{:+.3f})".format(*found.ends) if found.ends else ""
    return f"{found.value:+.3f}{tail}"


def score_rows(models: Mapping[str, ModelResult]) -> list[tuple[str, ...]]:
    """Score, the value of each model, meaning."""
    return [
        (name, *(one.cell(name) for one in models.values()), description)
        for name, description in MEANINGS.items()
    ]


def class_rows(models: Mapping[str, ModelResult], score: str) -> list[tuple[str, ...]]:
    """Class, one score of it for each model; classes that nobody asked about are left out."""
    names = dict.fromkeys(name for one in models.values() for name in one.classes)
    rows = [
        (name, *(number(one.classes[name][score]) for one in models.values())) for name in names
    ]
    return [row for row in rows if set(row[1:]) != {"-"}]


def classes_of(model: ModelResult) -> list[tuple[str, ...]]:
    """Class, and its scores of ``COLUMNS``; all together at the end."""
    return [
        (label, *(number(row[column]) for column in COLUMNS))
        for label, row in {**model.classes, "all": model.scores}.items()
    ]


def to_html(title: str, models: Mapping[str, ModelResult], notes: Sequence[str]) -> str:
    """The whole page; ``models``: name -> what came of it."""
    first = next(iter(models.values()))
    shown = {name: one["m_j"] for name, one in first.classes.items() if one["m_j"] is not None}
    return render(
        "composite.html", title, notes=notes, names=[short(name) for name in models],
        headline=[(number(first.scores[name]), description) for name, description in HEADLINE],
        scores=[(description, *v) for _, *v, description in score_rows(models)],
        lead=lead_rows(models),
        side_by_side=[
            (description, class_rows(models, score)) for score, description in SIDE_BY_SIDE.items()
        ],
        by_class=bars(shown, ""), legend=LEGEND, columns=list(COLUMNS.values()),
        models=[(short(name), classes_of(one), one.worst) for name, one in models.items()],
    )  # fmt: skip
