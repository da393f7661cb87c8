"""The report of one pass over a recording: what was heard and marked, when, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from avs_ros.report.charts import Span, bars, histogram, timeline
from avs_ros.report.page import columns, data_uri, figures, page, section, table


@dataclass(frozen=True)
class Moment:
    """An image (JPEG) at ``time_s`` with a few words."""

    time_s: float
    image: bytes
    caption: str


@dataclass
class RunSummary:
    """Everything that the page shows.

    Lists run over the processed frames: ``times`` (s), ``scores`` (0..1), ``marked`` and ``heard``
    labels ("" for none), ``levels_dbfs``, ``latencies_ms`` (one per frame; what it means is
    ``latency_name``).  ``end_s``: end of the last frame.  ``threshold`` of the score, None for
    none; ``played``: what really sounded, where that is known.  ``stages_ms``: mean of each stage.
    ``counters``: what was received, dropped or refused; ``metadata``: lines of the table;
    ``files``: name -> what it is, relative to the page.
    """

    title: str
    subtitle: str
    times: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    levels_dbfs: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    latency_name: str = "time per frame"
    end_s: float = 0.0
    threshold: float | None = 0.5
    score_name: str = "probability that something visible makes the sound"
    played: Sequence[Span] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, object] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    moments: Sequence[Moment] = ()
    notes: Sequence[str] = ()


def _share(count: int, whole: int) -> str:
    return f"{100 * count / whole:.0f} %" if whole else "-"


def _headline(summary: RunSummary) -> str:
    frames = len(summary.times)
    marked = [label for label in summary.marked if label]
    items = [
        (f"{frames}", "frames answered"),
        (_share(len(marked), frames), "of them with something marked"),
    ]
    if marked:
        name, count = Counter(label.split(",")[0] for label in marked).most_common(1)[0]
        items.append((name, f"marked most ({_share(count, len(marked))})"))
    if summary.latencies_ms:
        median, late = np.percentile(summary.latencies_ms, [50, 95])
        items.append((f"{median:.1f} ms", f"{summary.latency_name}, median"))
        items.append((f"{late:.1f} ms", "95 of 100 were faster"))
    return figures(items)


def _shares(labels: Sequence[str], none: str) -> str:
    """Table of labels by how often they came."""
    counts = Counter(label or none for label in labels)
    return table({
        name: f"{count} frames, {_share(count, len(labels))}"
        for name, count in counts.most_common(8)
    })


def _latency(summary: RunSummary) -> str:
    title = summary.latency_name[:1].upper() + summary.latency_name[1:]
    if not summary.latencies_ms:
        return section(title, histogram([], "ms", {}))
    median, late = np.percentile(summary.latencies_ms, [50, 95])
    marks = {"median": float(median), "95 %": float(late)}
    return section(title, histogram(summary.latencies_ms, "ms", marks))


def _legend(summary: RunSummary) -> str:
    line = "" if summary.threshold is None else "; the dashed line is the threshold"
    return (
        f"Score: {summary.score_name}{line}. Sound: level of the second that ends at the frame."
    )


def _moments(moments: Sequence[Moment]) -> str:
    cells = "".join(
        f'<figure><img src="{data_uri(moment.image)}" alt="{escape(moment.caption)}">'
        f"<figcaption>{moment.time_s:.2f} s: {escape(moment.caption)}</figcaption></figure>"
        for moment in moments
    )
    return f'<div class="moments">{cells}</div>'


def to_html(summary: RunSummary) -> str:
    """The whole page."""
    parts = [
        f"<h1>{escape(summary.title)}</h1>", f'<p class="soft">{escape(summary.subtitle)}</p>',
        _headline(summary),
    ]
    parts += [f"<p>{escape(note)}</p>" for note in summary.notes]
    if summary.times:
        parts.append(section("Over time", timeline(
            summary.times, summary.scores, summary.levels_dbfs, summary.marked, summary.heard,
            summary.end_s, summary.threshold, summary.played,
        ), _legend(summary)))
    if summary.moments:
        parts.append(section("Moments", _moments(summary.moments)))
    cards = []
    if summary.times:
        cards.append(section("Marked", _shares(summary.marked, "nothing")))
        if any(summary.heard):
            cards.append(section("Heard", _shares(summary.heard, "nothing")))
    cards.append(_latency(summary))
    if summary.stages_ms:
        cards.append(section("Mean time of each stage", bars(summary.stages_ms, "ms")))
    parts.append(columns(*cards))
    tables = []
    if summary.metadata:
        tables.append(section("What ran", table(summary.metadata)))
    if summary.counters:
        tables.append(section("Received and dropped", table(summary.counters)))
    parts.append(columns(*tables))
    if summary.files:
        links = "".join(
            f'<tr><th><a href="{escape(name)}">{escape(name)}</a></th><td>{escape(says)}</td></tr>'
            for name, says in summary.files.items()
        )
        parts.append(section("Files beside this page", f"<table>{links}</table>"))
    return page(summary.title, "\n".join(parts))


def write_report(path: Path, summary: RunSummary) -> None:
    """Write the page; it appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(to_html(summary), encoding="utf-8")
    part.replace(path)
