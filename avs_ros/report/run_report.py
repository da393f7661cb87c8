"""The report of one pass over a recording: what was heard and marked, when, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avs_ros.evaluation.run_files import write_whole
from avs_ros.report.charts import Span, bars, timeline, times_histogram
from avs_ros.report.page import render


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


def _headline(summary: RunSummary) -> list[tuple[str, str]]:
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
    return items


def _shares(labels: Sequence[str]) -> dict[str, str]:
    """Labels by how often they came."""
    counts = Counter(label or "nothing" for label in labels)
    return {
        name: f"{count} frames, {_share(count, len(labels))}"
        for name, count in counts.most_common(8)
    }


def to_html(summary: RunSummary) -> str:
    """The whole page."""
    line = "" if summary.threshold is None else "; the dashed line is the threshold"
    return render(
        "run.html", summary.title, run=summary, headline=_headline(summary),
        legend=f"Score: {summary.score_name}{line}. Sound: level of the second that ends at the "
        "frame.",
        timeline=summary.times and timeline(
            summary.times, summary.scores, summary.levels_dbfs, summary.marked, summary.heard,
            summary.end_s, summary.threshold, summary.played,
        ),
        moments=[(one.image, f"{one.time_s:.2f} s: {one.caption}") for one in summary.moments],
        marked=_shares(summary.marked),
        heard=_shares(summary.heard) if any(summary.heard) else {},
        latency=times_histogram(summary.latencies_ms),
        stages=bars(summary.stages_ms, "ms"),
    )  # fmt: skip


def write_report(path: Path, summary: RunSummary) -> None:
    """Write the page; it appears whole or not at all."""
    write_whole(path, to_html(summary))
