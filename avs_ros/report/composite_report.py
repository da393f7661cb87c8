"""The page of the composite benchmark: scores of each class, and pictures of the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from avs_ros.report import charts
from avs_ros.report.page import columns, data_uri, figures, page, section, table

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
# Three pictures in one need twice the room of one.
WIDE = 'style="grid-template-columns:repeat(auto-fill,minmax(min(100%,450px),1fr))"'
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


def to_html(
    title: str, scores: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]],
    meanings: Mapping[str, str], worst: Mapping[str, Sequence[tuple[bytes, str]]],
    notes: Sequence[str],
) -> str:
    """The whole page.

    ``scores``, ``classes``: of ``composite_scores``; ``worst``: kind of case -> (JPEG, words).
    """
    head = [
        (number(scores["m_j"]), "M_J, matching sound"),
        (number(scores["mismatch_empty"]), "mismatched sounds left empty"),
        (number(scores["silence_empty"]), "silent cases left empty"),
        (number(scores["two_share"]), "of the marks on the one that sounds"),
    ]
    body = [f"<h1>{escape(title)}</h1>", figures(head)]
    body += [f'<p class="soft">{escape(note)}</p>' for note in notes]
    rows = {words: number(scores[name]) for name, words in meanings.items()}
    bars = {name: one["m_j"] for name, one in classes.items() if one["m_j"] is not None}
    cards = [section("Scores", table(rows)), section("M_J by class", charts.bars(bars, ""))]
    body.append(columns(*cards))
    body.append(section("Classes", _classes({**classes, "all": scores}), LEGEND))
    for kind, shown in worst.items():
        cells = "".join(
            f'<figure><img alt="" src="{data_uri(jpeg)}"><figcaption>{escape(words)}</figcaption>'
            "</figure>"
            for jpeg, words in shown
        )
        note = "picture, answer, truth"
        body.append(section(f"Worst: {kind}", f'<div class="moments" {WIDE}>{cells}</div>', note))
    return page(title, "\n".join(body))


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> str:
    head = "".join(f"<td>{escape(words)}</td>" for words in ("class", *COLUMNS.values()))
    rows = "".join(
        f'<tr><th style="width:auto">{escape(name)}</th>'
        + "".join(f"<td>{number(one[column])}</td>" for column in COLUMNS)
        + "</tr>"
        for name, one in classes.items()
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
