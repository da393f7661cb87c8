"""The page that sets two runs side by side."""

from __future__ import annotations

from html import escape
from pathlib import Path

from avs_ros.evaluation.bootstrap import FEWEST, LEVEL, RESAMPLES, Difference
from avs_ros.evaluation.compare import MEASURES, Comparison
from avs_ros.evaluation.run_files import write_whole
from avs_ros.report import charts
from avs_ros.report.curves import intervals
from avs_ros.report.page import columns, figures, grid, page, section

MOST_ROWS = 20


def verdict(name: str, found: Difference) -> str:
    """In words: which run is better in this score, if that is sure."""
    if found.low is None:
        return "too few recordings to say"
    if not found.clear:
        return "no difference shown"
    better = (found.value > 0) == MEASURES.get(name, ("", True))[1]
    return "B is better" if better else "A is better"


def rows_of(comparison: Comparison) -> list[tuple[str, str, str, str, str, str]]:
    """Score, A, B, B - A, interval, verdict."""
    return [
        (
            MEASURES[name][0], _number(name, found.a), _number(name, found.b),
            _number(name, found.value, "+"), _interval(name, found), verdict(name, found),
        )
        for name, found in comparison.scores.items()
    ]  # fmt: skip


def _number(name: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.1f}" if name.endswith("_ms") else f"{value:{sign}.4f}"


def _interval(name: str, found: Difference) -> str:
    if found.low is None or found.high is None:
        return "-"
    return f"{_number(name, found.low, '+')} to {_number(name, found.high, '+')}"


def to_html(comparison: Comparison) -> str:
    """The whole page."""
    title = f"{comparison.name_a} against {comparison.name_b}"
    body = [f"<h1>{escape(title)}</h1>"]
    body.append(
        f'<p class="soft">A is {escape(comparison.name_a)}, B is {escape(comparison.name_b)}; '
        "a difference is B minus A.</p>"
    )
    # Bags with boxes for a truth have no M_J.
    name, description = next(
        one for one in (("m_j_frames", "M_J"), ("c_iou", "cIoU"), ("answered", "answered frames"))
        if one[0] in comparison.scores
    )
    main = comparison.scores[name]
    body.append(figures([
        (f"{main.a:.4f}", f"{description} of A"),
        (f"{main.b:.4f}", f"{description} of B"),
        (f"{main.value:+.4f}", f"difference: {verdict(name, main)}"),
        (str(comparison.frames), "frames"),
        (str(len(comparison.recordings)), "recordings"),
    ]))  # fmt: skip
    how = (
        f"{LEVEL:.0%} intervals of the difference by paired bootstrap: {RESAMPLES} draws of whole "
        f"recordings, because frames of one recording resemble each other. Fewer than {FEWEST} "
        "recordings give no interval. One look at several scores: expect one in twenty to leave "
        "0 out by chance."
    )
    head = ("score", "A", "B", "B - A", f"{LEVEL:.0%} interval", "says")
    body.append(section("Scores", grid(head, rows_of(comparison), text_columns=(5,)), how))
    shares = {
        name: (found.value, found.low, found.high)
        for name, found in comparison.scores.items() if not name.endswith("_ms")
    }
    body.append(section("Differences with their intervals", intervals(shares, "")))
    if comparison.classes:
        widest = sorted(comparison.classes.items(), key=lambda item: -abs(item[1].value))
        shown = {
            name: (found.value, found.low, found.high) for name, found in widest[:MOST_ROWS]
        }
        note = f"M_J of each class's frames; the {MOST_ROWS} that changed most." if (
            len(widest) > MOST_ROWS
        ) else "M_J of each class's frames."
        body.append(section("Differences by class", intervals(shown, ""), note))
    changed = sorted(
        comparison.recordings.items(), key=lambda item: -abs(item[1][1] - item[1][0])
    )[:MOST_ROWS]
    recordings = [(n, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}") for n, (a, b) in changed]
    cards = [section("Recordings that changed most", grid(("M_J", "A", "B", "B - A"), recordings))]
    if comparison.largest:
        frames = [
            (f"{one.recording} at {one.stamp_ns * 1e-9:.3f} s", f"{one.iou_a:.3f}",
             f"{one.iou_b:.3f}", f"{one.iou_b - one.iou_a:+.3f}")
            for one in comparison.largest
        ]
        cards.append(
            section("Frames that changed most", grid(("IoU", "A", "B", "B - A"), frames))
        )
    better = sum(change > 0 for change in comparison.iou_changes)
    worse = sum(change < 0 for change in comparison.iou_changes)
    counts = {
        "better in B": float(better), "worse in B": float(worse),
        "the same": float(comparison.frames - better - worse),
    }
    cards.append(section("Frames by IoU", charts.bars(counts, "frames")))
    body.append(columns(*cards))
    return page(title, "\n".join(body))


def write_report(path: Path, comparison: Comparison) -> None:
    """Write the page; it appears whole or not at all."""
    write_whole(path, to_html(comparison))
