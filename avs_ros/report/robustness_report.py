"""The page of a robustness run: one table, and one plot for each kind of disturbance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from avs_ros.report.charts import ticks
from avs_ros.report.page import columns, figures, page, section

# score -> its name in the table's head
COLUMNS: dict[str, str] = {
    "m_j": "M_J",
    "fall": "fall of M_J",
    "false_positive_rate": "false pixels",
    "empty": "empty frames",
    "negative_miou": "negative mIoU",
    "g_miou": "G-mIoU",
}
NOTE = (
    "M_J: mean frame IoU, every frame equal. False pixels: marked and wrong, as a share of the "
    "picture. Negative mIoU: overlap with the mask that the right sound would have, under a sound "
    "that nothing visible makes; lower is better. G-mIoU: harmonic mean of the clean score and "
    "1 - negative mIoU."
)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 500, 210, 44, 14, 14, 46

Rows = Mapping[str, Mapping[str, Any]]


def number(value: float | None) -> str:
    """Four digits, or a dash for nothing."""
    return "-" if value is None else f"{value:.4f}"


def _table(rows: Rows) -> str:
    head = "".join(f"<td>{escape(words)}</td>" for words in ("condition", *COLUMNS.values()))
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{number(row[column])}</td>" for column in COLUMNS)
        + "</tr>"
        for name, row in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def line_chart(
    points: Sequence[tuple[str, float, float]], clean: float | None
) -> str:
    """Values 0..1 of two measures over equally spaced strengths, as inline SVG.

    ``points``: (strength in words, M_J, false pixels); ``clean``: M_J without disturbance.
    """
    inner, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - FOOT
    most = max([clean or 0.0, *(value for _, *pair in points for value in pair), 0.05])
    marks = ticks(0.0, most * 1.08, 4)
    most = max(most * 1.08, marks[-1])

    def x(index: int) -> float:
        return LEFT + inner * (index + 0.5) / len(points)

    def y(value: float) -> float:
        return TOP + high * (1 - value / most)

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="line chart">']
    for value in marks:
        out.append(f'<path class="rule" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/><text '
                   f'x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    if clean is not None:
        out.append(f'<path class="limit" d="M{LEFT} {y(clean):.1f}H{WIDTH - RIGHT}"><title>clean '
                   f"{clean:.4f}</title></path>")
    for style, place in (("level", 2), ("curve", 1)):
        line = " ".join(f"{x(i):.1f},{y(float(p[place])):.1f}" for i, p in enumerate(points))  # type: ignore[arg-type]
        fill = ' fill="none" style="fill:none"' if style == "level" else ""
        out.append(f'<polyline class="{style}"{fill} points="{line}"/>')
        for i, point in enumerate(points):
            value = float(point[place])  # type: ignore[arg-type]
            name = "M_J" if place == 1 else "false pixels"
            colour = "var(--accent)" if place == 1 else "var(--level)"
            out.append(f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}">'
                       f"<title>{escape(point[0])}: {name} {value:.4f}</title></circle>")
    for i, (words, *_) in enumerate(points):
        out.append(f'<text x="{x(i):.1f}" y="{HEIGHT - FOOT + 18}" text-anchor="middle">'
                   f"{escape(words)}</text>")
    out.append(
        f'<circle cx="{LEFT + 4}" cy="{HEIGHT - 10}" r="4" fill="var(--accent)"/><text '
        f'x="{LEFT + 13}" y="{HEIGHT - 6}">M_J (dashed: clean)</text><circle cx="{LEFT + 164}" '
        f'cy="{HEIGHT - 10}" r="4" fill="var(--level)"/><text x="{LEFT + 173}" '
        f'y="{HEIGHT - 6}">false pixels</text></svg>'
    )
    return "".join(out)


def wrong_sound_chart(rows: Rows, clean: float | None) -> str:
    """Bars 0..1 of what stays marked under sounds that nothing visible makes, as inline SVG."""
    names = {"negative_miou": "negative mIoU", "false_positive_rate": "false pixels"}
    out, y = [], 0
    for condition, row in rows.items():
        out.append(f'<text class="strong" x="0" y="{y + 14}">{escape(condition)}</text>')
        for column, words in names.items():
            value = row[column]
            y += 22
            out.append(f'<text x="128" y="{y + 12}" text-anchor="end">{words}</text>')
            if value is not None:
                out.append(f'<rect class="bar" x="136" y="{y}" width="{1 + 290 * value:.1f}" '
                           f'height="15" rx="3"/><text class="strong" x="{144 + 290 * value:.1f}"'
                           f' y="{y + 12}">{value:.4f}</text>')
        y += 32
    if clean is not None:
        x = 137 + 290 * clean
        out.append(f'<path class="limit" d="M{x:.1f} 0V{y}"/><text class="note" x="{x + 5:.1f}" '
                   f'y="{y + 12}">clean mIoU {clean:.4f}</text>')
    box = f'<svg viewBox="0 0 500 {y + 18}" role="img" aria-label="bars">'
    return "".join([box, *out, "</svg>"])


def to_html(
    title: str, rows: Rows, axes: Mapping[str, str], facts: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
) -> str:
    """The whole page.

    ``rows``: condition -> :meth:`ConditionScores.result`, ``clean`` first; ``axes``: axis -> what
    it is; ``facts``: (figure, what it is).
    """
    clean = rows["clean"]["m_j"] if "clean" in rows else None
    body = [f"<h1>{escape(title)}</h1>", figures(facts)]
    body += [f'<p class="soft">{escape(note)}</p>' for note in notes]
    body.append(section("All conditions", _table(rows), NOTE))
    cards = []
    wrong = {name: row for name, row in rows.items() if row["negative"] and row["frames"]}
    if wrong:
        words = "; ".join(f"{row['axis']}: {axes[row['axis']]}" for row in wrong.values())
        sounding = rows["clean"].get("m_j_sounding") if "clean" in rows else None
        cards.append(section("Wrong sounds", wrong_sound_chart(wrong, sounding), words))
    for axis, words in axes.items():
        found = [r for r in rows.values() if r["axis"] == axis and r["frames"]]
        points = [
            (f"{r['amount']:g}", float(r["m_j"]), float(r["false_positive_rate"]))
            for r in found
            if r["m_j"] is not None and r["amount"] is not None
        ]
        if points:
            heading = f"{axis.replace('-', ' ').capitalize()} ({found[0]['unit']})"
            cards.append(section(heading, line_chart(points, clean), words))
    body.append(columns(*cards))
    return page(title, "\n".join(body))
