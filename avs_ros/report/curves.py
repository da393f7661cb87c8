"""Charts of an evaluation: precision over recall, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from avs_ros.evaluation.metrics import Difference
from avs_ros.report.charts import ticks

Curve = Mapping[str, Sequence[float]]
# Line styles of the first and the second curve; colours come from the page's style.
STYLES = ('class="curve"', 'class="curve" stroke-dasharray="7 4"')


def precision_recall(curves: Mapping[str, Curve]) -> str:
    """One line per name; each curve has ``threshold``, ``precision`` and ``recall``, all 0..1.

    The dot is where the threshold is nearest to 0.5.
    """
    if not any(curve["recall"] for curve in curves.values()):
        return '<p class="soft">nothing was measured</p>'
    left, top, wide, tall = 52, 12, 430, 220
    out = [f'<svg viewBox="0 0 500 {top + tall + 44}" role="img" aria-label="precision-recall">']
    for value in (0, 0.25, 0.5, 0.75, 1):
        y, x = top + tall * (1 - value), left + wide * value
        out.append(f'<path class="rule" d="M{left} {y:.1f}H{left + wide}"/><text x="{left - 6}" '
                   f'y="{y + 4:.1f}" text-anchor="end">{value:g}</text><text x="{x:.1f}" '
                   f'y="{top + tall + 17}" text-anchor="middle">{value:g}</text>')
    for row, ((name, curve), style) in enumerate(zip(curves.items(), STYLES)):
        spots = [
            (left + wide * recall, top + tall * (1 - precision))
            for recall, precision in zip(curve["recall"], curve["precision"], strict=True)
        ]
        if not spots:
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        half = min(range(len(spots)), key=lambda i: abs(curve["threshold"][i] - 0.5))
        x, y = spots[half]
        out.append(f'<polyline {style} points="{line}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4" '
                   f'class="bar"><title>{escape(name)}, threshold 0.5: precision '
                   f'{curve["precision"][half]:.3f}, recall {curve["recall"][half]:.3f}</title>'
                   "</circle>")
        if len(curves) > 1:
            key = top + tall - 30 + 18 * row
            out.append(f'<path {style} d="M{left + 12} {key}h36"/><text x="{left + 56}" '
                       f'y="{key + 4}">{escape(name)}</text>')
    out.append(f'<text x="{left + wide}" y="{top + tall + 36}" text-anchor="end">recall</text>'
               f'<text x="0" y="{top + tall + 36}">up: precision</text>')
    return "".join([*out, "</svg>"])


def intervals(rows: Mapping[str, Difference]) -> str:
    """Differences with their intervals; the line at 0 is "no difference"."""
    if not rows:
        return '<p class="soft">nothing was measured</p>'
    ends = [v for one in rows.values() for v in (one.value, one.low, one.high) if v is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = max(high - low, 1e-6) * 0.06
    low, high = low - room, high + room
    left, wide, foot = 230, 560, 28 * len(rows) + 6

    def x(value: float) -> float:
        return left + wide * (value - low) / (high - low)

    out = [f'<svg viewBox="0 0 {left + wide + 90} {foot + 24}" role="img" '
           'aria-label="differences">']
    for exact in ticks(low, high, 6):
        value = round(exact, 9) + 0.0  # no "-0" and no 1e-17
        out.append(f'<path class="rule" d="M{x(value):.1f} 0V{foot}"/><text x="{x(value):.1f}" '
                   f'y="{foot + 16}" text-anchor="middle">{value:g}</text>')
    out.append(f'<path class="limit" d="M{x(0):.1f} 0V{foot}"/>')
    for number, (name, one) in enumerate(rows.items()):
        middle, start, end, y = one.value, one.low, one.high, 28 * number + 18
        out.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end" class="strong">'
                   f"{escape(name)}</text>")
        if start is not None and end is not None:
            out.append(f'<path class="curve" d="M{x(start):.1f} {y}H{x(end):.1f}M{x(start):.1f} '
                       f'{y - 6}v12M{x(end):.1f} {y - 6}v12"/>')
        out.append(f'<circle class="bar" cx="{x(middle):.1f}" cy="{y}" r="4.5"/><text '
                   f'x="{left + wide + 84}" y="{y + 4}" text-anchor="end">{middle:+.3f}</text>')
    return "".join([*out, "</svg>"])
