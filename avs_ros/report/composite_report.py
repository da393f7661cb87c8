"""The page of the composite benchmark: scores of each class, and images of the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from avs_ros.evaluation.bootstrap import Difference
from avs_ros.report import charts
from avs_ros.report.page import columns, data_uri, figures, grid, page, section

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


def lead_rows(
    models: Mapping[str, ModelResult], meanings: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Score, and what the first model has more of it than each other one, with the interval."""
    others = list(models.values())[1:]
    rows = []
    for name in meanings:
        found = [one.behind.get(name) for one in others]
        if any(found):
            rows.append((name, *(_difference(one) for one in found)))
    return rows


def _difference(found: Difference | None) -> str:
    if found is None:
        return "-"
    known = found.low is not None and found.high is not None
    return f"{found.value:+.3f}" + (f" ({found.low:+.3f}..{found.high:+.3f})" if known else "")


def score_rows(
    models: Mapping[str, ModelResult], meanings: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Score, the value of each model, meaning."""
    return [
        (name, *(one.cell(name) for one in models.values()), description)
        for name, description in meanings.items()
    ]


def class_rows(models: Mapping[str, ModelResult], score: str) -> list[tuple[str, ...]]:
    """Class, one score of it for each model; classes that nobody asked about are left out."""
    names = dict.fromkeys(name for one in models.values() for name in one.classes)
    rows = [
        (name, *(number(one.classes[name][score]) for one in models.values())) for name in names
    ]
    return [row for row in rows if set(row[1:]) != {"-"}]


def short(model: str) -> str:
    """A model's name for a heading: a checkpoint's path without folder and suffix."""
    return Path(model).stem


def to_html(
    title: str, models: Mapping[str, ModelResult], meanings: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The whole page; ``models``: name -> what came of it."""
    body = [f"<h1>{escape(title)}</h1>"]
    body += [f'<p class="soft">{escape(note)}</p>' for note in notes]
    if len(models) == 1:
        body.insert(1, figures(_head(next(iter(models.values())).scores)))
    names = [short(name) for name in models]
    rows = [(description, *values) for _, *values, description in score_rows(models, meanings)]
    scores = section("Scores", grid(("", *names), rows))
    if len(models) == 1:
        one = next(iter(models.values()))
        bars = {n: c["m_j"] for n, c in one.classes.items() if c["m_j"] is not None}
        body.append(columns(scores, section("M_J by class", charts.bars(bars, ""))))
    else:
        first, *others = names
        lead = grid(("", *others), lead_rows(models, meanings))
        body.append(scores)
        body.append(section(f"{first} less the others, case by case", lead))
        body.append(columns(*(
            section(description, grid(("class", *names), found))
            for score, description in SIDE_BY_SIDE.items() if (found := class_rows(models, score))
        )))
    for name, one in models.items():
        tail = "" if len(models) == 1 else f", {short(name)}"
        rows = [
            (label, *(number(row[column]) for column in COLUMNS))
            for label, row in {**one.classes, "all": one.scores}.items()
        ]
        table = grid(("class", *COLUMNS.values()), rows)
        body.append(section(f"Classes{tail}", table, LEGEND))
        body += [section(f"Worst: {kind}{tail}", _images(shown), "image, answer, truth")
                 for kind, shown in one.worst.items()]
    return page(title, "\n".join(body))


def _head(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (number(scores["m_j"]), "M_J, matching sound"),
        (number(scores["mismatch_empty"]), "mismatched sounds left empty"),
        (number(scores["silence_empty"]), "silent cases left empty"),
        (number(scores["two_share"]), "of the marks on the one that sounds"),
    ]


def _images(shown: Sequence[tuple[bytes, str]]) -> str:
    cells = "".join(
        f'<figure><img alt="" '
        f'src="{data_uri(jpeg)}"><figcaption>{escape(description)}</figcaption>'
        "</figure>"
        for jpeg, description in shown
    )
    return f'<div class="moments wide">{cells}</div>'
