"""The page that sets two runs side by side."""

from __future__ import annotations

from avs_ros.evaluation.compare import MEASURES, Comparison
from avs_ros.evaluation.metrics import FEWEST, LEVEL, RESAMPLES, Difference
from avs_ros.report.charts import bars, intervals
from avs_ros.report.page import render

MOST_ROWS = 20


def verdict(name: str, found: Difference) -> str:
    """In words: which run is better in this score, if that is sure."""
    if found.low is None:
        return "too few recordings to say"
    if not found.clear:
        return "no difference shown"
    better = (found.value > 0) == MEASURES[name][1]
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
    return " to ".join(_number(name, end, "+") for end in found.ends or ()) or "-"


def to_html(comparison: Comparison) -> str:
    """The whole page."""
    # Bags with boxes for a truth have no M_J.
    name, description = next(
        one for one in (("m_j_frames", "M_J"), ("c_iou", "cIoU"), ("answered", "answered frames"))
        if one[0] in comparison.scores
    )
    main = comparison.scores[name]
    widest = sorted(comparison.classes.items(), key=lambda item: -abs(item[1].value))
    changed = sorted(
        comparison.recordings.items(), key=lambda item: -abs(item[1][1] - item[1][0])
    )
    better = sum(change > 0 for change in comparison.iou_changes)
    worse = sum(change < 0 for change in comparison.iou_changes)
    counts = {
        "better in B": float(better), "worse in B": float(worse),
        "the same": float(comparison.frames - better - worse),
    }
    return render(
        "comparison.html", f"{comparison.name_a} against {comparison.name_b}", found=comparison,
        headline=[
            (f"{main.a:.4f}", f"{description} of A"),
            (f"{main.b:.4f}", f"{description} of B"),
            (f"{main.value:+.4f}", f"difference: {verdict(name, main)}"),
            (str(comparison.frames), "frames"),
            (str(len(comparison.recordings)), "recordings"),
        ],
        level=f"{LEVEL:.0%}", resamples=RESAMPLES, fewest=FEWEST, most_rows=MOST_ROWS,
        rows=rows_of(comparison),
        scores=intervals(
            {n: one for n, one in comparison.scores.items() if not n.endswith("_ms")}
        ),
        classes=intervals(dict(widest[:MOST_ROWS])),
        recordings=[
            (n, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}") for n, (a, b) in changed[:MOST_ROWS]
        ],
        frames=[
            (f"{one.recording} at {one.stamp_ns * 1e-9:.3f} s", f"{one.iou_a:.3f}",
             f"{one.iou_b:.3f}", f"{one.iou_b - one.iou_a:+.3f}")
            for one in comparison.largest
        ],
        counts=bars(counts, "frames"),
    )  # fmt: skip
