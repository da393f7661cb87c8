"""Charts as inline SVG; colours come from the page's style, so they follow light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.metrics import Difference
from avs_ros.overlay import label_colour

WIDTH = 1000
LEFT = 76
RIGHT = 18
# More points than pixels only make the file large: beyond this, each column shows its maximum.
MOST_POINTS = 900
FLOOR_DBFS = -60.0
# AudioSet's name for it; drawn grey, because nothing is there.
SILENCE, GREY = "Silence", "#8b93a1"
NOTHING = '<p class="soft">nothing was measured</p>'

Span = tuple[float, float, str]


def spans(times: Sequence[float], labels: Sequence[str], end: float) -> list[Span]:
    """Runs of equal neighbours: (start, end, label); a run ends where the next one begins."""
    runs = groupby(zip(times, labels, strict=True), key=lambda pair: pair[1])
    found = [(label, next(run)[0]) for label, run in runs]
    ends = [*(begin for _, begin in found[1:]), end]
    return [(begin, until, label) for (label, begin), until in zip(found, ends)]


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, roughly ``about`` of them."""
    length = max(high - low, 1e-9)
    unit = 10.0 ** np.floor(np.log10(length / about))
    step = next(unit * factor for factor in (1, 2, 5, 10) if length / (unit * factor) <= about)
    return [float(v) for v in np.arange(np.ceil(low / step) * step, high + step * 1e-6, step)]


def _points(x: Iterable[float], y: Iterable[float]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def timeline(
    times: Sequence[float], score: Sequence[float], level_dbfs: Sequence[float],
    marked: Sequence[str], heard: Sequence[str], end: float, threshold: float | None,
    played: Sequence[Span] = (),
) -> str:
    """Score, sound level, what was played, heard and marked over time (s).

    Sequences run over frames, one at least: ``score`` 0..1, ``level_dbfs`` <= 0 (or -inf), labels
    "" for none.  ``threshold`` of the score (None: no line); ``played``: the truth, where known.
    """
    start = times[0]
    length = max(end - start, 1e-9)

    def x(time: float) -> float:
        return LEFT + (time - start) / length * (WIDTH - LEFT - RIGHT)

    def curve(values: NDArray[np.float64], top: float, high: float) -> tuple[str, str]:
        """Points of values 0..1, and of the area below them."""
        shown, t = values, np.asarray(times, float)
        if len(t) > MOST_POINTS:
            edges = np.linspace(0, len(t), MOST_POINTS + 1).astype(int)[:-1]
            shown, t = np.maximum.reduceat(values, edges), t[edges]
        line = _points(map(x, [*t, end]), top + high * (1 - np.append(shown, shown[-1])))
        return line, f"{x(t[0]):.1f},{top + high} {line} {x(end):.1f},{top + high}"

    top, high = 10, 110
    low_top, low_high = 138, 54
    out = [f'<text x="0" y="{top + 59}" class="strong">score</text>',
           f'<text x="0" y="{low_top + 31}" class="strong">sound</text>']  # fmt: skip
    rules = [(top + high * (1 - value), f"{value:g}") for value in (0, 0.5, 1)]
    rules += [(low_top, "0 dB"), (low_top + low_high, f"{FLOOR_DBFS:g} dB")]
    for y, name in rules:
        out.append(f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
    line, area = curve(np.asarray(score, float), top, high)
    out.append(f'<polygon class="under" points="{area}"/>'
               f'<polyline class="curve" points="{line}"/>')
    if threshold is not None:
        y = top + high * (1 - threshold)
        out.append(f'<path class="limit" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"><title>'
                   f"threshold {threshold:g}</title></path>")
    levels = np.nan_to_num(np.asarray(level_dbfs, float), nan=FLOOR_DBFS, neginf=FLOOR_DBFS)
    _, area = curve(1 - np.clip(levels, FLOOR_DBFS, 0) / FLOOR_DBFS, low_top, low_high)
    out.append(f'<polygon class="level" points="{area}"/>')
    strips = {"played": list(played), "marked": spans(times, marked, end)}
    if any(heard):
        strips = {"heard": spans(times, heard, end), **strips}
    foot = 204
    for name, found in strips.items():
        if found or name == "marked":
            out += _strip(foot, name, found, x)
            foot += 32
    for value in ticks(start, end, 12):
        out.append(f'<path class="rule" d="M{x(value):.1f} {foot - 4}v5"/><text '
                   f'x="{x(value):.1f}" y="{foot + 16}" text-anchor="middle">{value:g} s</text>')
    box = f'<svg viewBox="0 0 {WIDTH} {foot + 24}" role="img" aria-label="timeline">'
    return "".join([box, *out, "</svg>"])


def _strip(top: float, name: str, found: list[Span], x: Callable[[float], float]) -> list[str]:
    """One row of coloured spans; their names where there is room for them."""
    out = [f'<text x="0" y="{top + 16}" class="strong">{name}</text>',
           f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="22" rx="4" '
           'fill="none" class="rule"/>']
    for start, end, label in found:
        if not label:
            continue
        left, width = x(start), x(end) - x(start)
        short = label.split(",")[0]
        colour = "#{:02x}{:02x}{:02x}".format(*label_colour(label)) if label != SILENCE else GREY
        out.append(f'<g><title>{escape(label)}: {start:.2f} to {end:.2f} s</title><rect '
                   f'x="{left:.1f}" y="{top}" width="{max(width - 0.6, 0.6):.1f}" height="22" '
                   f'rx="3" fill="{colour}"/>')
        if width > 7.2 * len(short) + 8:
            out.append(f'<text class="on" x="{left + 5:.1f}" y="{top + 15.5}">{escape(short)}'
                       "</text>")
        out.append("</g>")
    return out


def histogram(values: Sequence[float], unit: str, marks: Mapping[str, float]) -> str:
    """How often each value came; ``marks`` are named lines such as the median."""
    if not len(values):
        return NOTHING
    width, height, bottom = 500, 190, 160
    data = np.asarray(values, float)
    # One frame that was a hundred times slower must not squeeze all others into one column.
    most = max(float(np.percentile(data, 99.5)) * 1.05, 1e-6)
    low = min(float(data.min()), most * 0.98)
    low = 0.0 if low < 0.5 * most else low
    counts, edges = np.histogram(np.clip(data, low, most), bins=40, range=(low, most))

    def x(value: float) -> float:
        return 10 + (min(value, most) - low) / (most - low) * (width - 20)

    out = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="histogram">']
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        if count:
            tall = (bottom - 30) * count / counts.max()
            out.append(f'<rect class="bar" x="{x(left) + 0.5:.1f}" y="{bottom - tall:.1f}" '
                       f'width="{x(right) - x(left) - 1:.1f}" height="{tall:.1f}"><title>{count} '
                       f"between {left:.1f} and {right:.1f} {escape(unit)}</title></rect>")
    out.append(f'<path class="rule" d="M10 {bottom}H{width - 10}"/>')
    for value in ticks(low, most, 7):
        out.append(f'<text x="{x(value):.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}'
                   "</text>")
    out.append(f'<text x="{width - 10}" y="{height - 1}" text-anchor="end">{escape(unit)}</text>')
    for row, (name, value) in enumerate(marks.items()):
        side = "end" if x(value) > 0.75 * width else "start"
        gap = -5 if side == "end" else 5
        out.append(f'<path class="limit" d="M{x(value):.1f} {12 + 16 * row}V{bottom}"/><text '
                   f'class="note" x="{x(value) + gap:.1f}" y="{20 + 16 * row}" '
                   f'text-anchor="{side}">{escape(name)} {value:.1f}</text>')
    return "".join([*out, "</svg>"])


def times_histogram(values_ms: Sequence[float]) -> str:
    """Milliseconds, with their median and 95 % marked."""
    if not len(values_ms):
        return NOTHING
    median, late = np.percentile(values_ms, [50, 95])
    return histogram(values_ms, "ms", {"median": float(median), "95 %": float(late)})


def bars(values: Mapping[str, float], unit: str) -> str:
    """One horizontal bar for each name."""
    if not values:
        return NOTHING
    most = max(max(values.values()), 1e-9)
    out = [f'<svg viewBox="0 0 500 {24 * len(values) + 4}" role="img" aria-label="bars">']
    for row, (name, value) in enumerate(values.items()):
        y = 24 * row
        out.append(f'<text x="128" y="{y + 16}" text-anchor="end">{escape(name)}</text><rect '
                   f'class="bar" x="136" y="{y + 4}" width="{max(1.0, 250 * value / most):.1f}" '
                   f'height="16" rx="3"/><text class="strong" x="{142 + 250 * value / most:.1f}" '
                   f'y="{y + 16}">{value:.2f} {escape(unit)}</text>')
    return "".join([*out, "</svg>"])


Curve = Mapping[str, Sequence[float]]
# Line styles of the first and the second curve; colours come from the page's style.
STYLES = ('class="curve"', 'class="curve" stroke-dasharray="7 4"')


def precision_recall(curves: Mapping[str, Curve]) -> str:
    """One line per name; each curve has ``threshold``, ``precision`` and ``recall``, all 0..1.

    One without them is left out.  The dot is where the threshold is nearest to 0.5.
    """
    left, top, wide, tall = 52, 12, 430, 220
    out = [f'<svg viewBox="0 0 500 {top + tall + 44}" role="img" aria-label="precision-recall">']
    for value in (0, 0.25, 0.5, 0.75, 1):
        y, x = top + tall * (1 - value), left + wide * value
        out.append(f'<path class="rule" d="M{left} {y:.1f}H{left + wide}"/><text x="{left - 6}" '
                   f'y="{y + 4:.1f}" text-anchor="end">{value:g}</text><text x="{x:.1f}" '
                   f'y="{top + tall + 17}" text-anchor="middle">{value:g}</text>')
    for row, ((name, curve), style) in enumerate(zip(curves.items(), STYLES)):
        if not curve["recall"]:
            continue
        xs = [left + wide * recall for recall in curve["recall"]]
        ys = [top + tall * (1 - precision) for precision in curve["precision"]]
        half = min(range(len(xs)), key=lambda i: abs(curve["threshold"][i] - 0.5))
        out.append(f'<polyline {style} points="{_points(xs, ys)}"/><circle cx="{xs[half]:.1f}" '
                   f'cy="{ys[half]:.1f}" r="4" class="bar"><title>{escape(name)}, '
                   f'threshold 0.5: precision '
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
        return NOTHING
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
        y = 28 * number + 18
        out.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end" class="strong">'
                   f"{escape(name)}</text>")
        if one.ends:
            start, end = map(x, one.ends)
            out.append(f'<path class="curve" d="M{start:.1f} {y}H{end:.1f}M{start:.1f} {y - 6}v12'
                       f'M{end:.1f} {y - 6}v12"/>')
        out.append(f'<circle class="bar" cx="{x(one.value):.1f}" cy="{y}" r="4.5"/><text '
                   f'x="{left + wide + 84}" y="{y + 4}" text-anchor="end">{one.value:+.3f}</text>')
    return "".join([*out, "</svg>"])
