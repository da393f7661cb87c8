"""The page of a robustness run: one table, and one plot for each kind of disturbance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

from avs_ros.evaluation.robustness_conditions import AXES
from avs_ros.report.charts import ticks
from avs_ros.report.page import render, short

# score -> its name in the table's head
COLUMNS: dict[str, str] = {
    "m_j": "M_J",
    "fall": "fall of M_J",
    "false_positive_rate": "false pixels",
    "empty": "empty frames",
    "negative_miou": "negative mIoU",
    "g_miou": "G-mIoU",
}
HEAD = ["condition", *COLUMNS.values()]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 500, 210, 44, 14, 14, 46

DASHED = ' stroke-dasharray="7 4"'
# The page's accent, then colours that are told apart on light and on dark paper.
PALETTE = ("var(--accent)", "#d9480f", "#2a9d6f", "#a24bd1", "#c2255c", "#868e96")

Rows = Mapping[str, Mapping[str, Any]]
# name of a model -> its rows
Models = Mapping[str, Rows]


def number(value: float | None) -> str:
    """Four digits, or a dash for nothing."""
    return "-" if value is None else f"{value:.4f}"


def axis_chart(models: Models, names: Sequence[str]) -> str:
    """M_J and, dashed, false pixels of each model under the conditions ``names`` of an axis, as
    inline SVG; dotted: M_J of the clean recordings.
    """
    several = len(models) > 1
    clean: dict[str, float] = {}
    # Name, colour, what is dashed, values: equally spaced over the strengths, None: not measured.
    lines: list[tuple[str, str, str, list[float | None]]] = []
    for (model, rows), colour in zip(models.items(), cycle(PALETTE)):
        tail = f", {short(model)}" if several else ""
        for column, kind, dash in (
            ("m_j", "M_J", ""), ("false_positive_rate", "false pixels", DASHED)
        ):
            lines.append((f"{kind}{tail}", colour, dash, [rows[name][column] for name in names]))
        if rows["clean"]["m_j"] is not None:
            clean[colour] = rows["clean"]["m_j"]
    first = next(iter(models.values()))
    strengths = [f"{first[name]['amount']:g}" for name in names]
    inner, foot = WIDTH - LEFT - RIGHT, 30 + 18 * math.ceil(len(lines) / 2)
    high = HEIGHT - TOP - FOOT
    given = [value for *_, values in lines for value in values if value is not None]
    most = max([*clean.values(), *given, 0.05]) * 1.08
    marks = ticks(0.0, most, 4)
    most = max(most, marks[-1])

    def x(index: int) -> float:
        return LEFT + inner * (index + 0.5) / len(strengths)

    def y(value: float) -> float:
        return TOP + high * (1 - value / most)

    box = f'<svg viewBox="0 0 {WIDTH} {TOP + high + foot}" role="img" aria-label="line chart">'
    out = [box]
    for value in marks:
        out.append(f'<path class="rule" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/><text '
                   f'x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for colour, value in clean.items():
        out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="{colour}" '
                   f'stroke-dasharray="2 4"><title>clean {value:.4f}</title></path>')
    base = TOP + high
    keys = []
    for number_, (name, colour, dash, values) in enumerate(lines):
        spots = [(i, value) for i, value in enumerate(values) if value is not None]
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in spots)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8"{dash} '
                   f'points="{points}"/>')
        for i, value in spots:
            out.append(f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}">'
                       f"<title>{strengths[i]}: {escape(name)} {value:.4f}</title></circle>")
        left, row = LEFT + (inner // 2) * (number_ % 2), base + 38 + 18 * (number_ // 2)
        keys.append(f'<path d="M{left} {row - 4}h22" stroke="{colour}" stroke-width="1.8"{dash}/>'
                    f'<text x="{left + 28}" y="{row}">{escape(name)}</text>')
    for i, strength in enumerate(strengths):
        out.append(f'<text x="{x(i):.1f}" y="{base + 18}" text-anchor="middle">{strength}</text>')
    return "".join([*out, *keys, "</svg>"])


def wrong_sound_chart(models: Models) -> str:
    """Bars 0..1 of what stays marked under sounds that nothing visible makes, as inline SVG."""
    out, y, several = [], 0, len(models) > 1
    kinds = {"negative_miou": "negative mIoU", "false_positive_rate": "false pixels"}
    conditions = list(dict.fromkeys(
        name for rows in models.values()
        for name, row in rows.items() if row["negative"] and row["frames"]
    ))  # fmt: skip
    for condition in conditions:
        out.append(f'<text class="strong" x="0" y="{y + 14}">{escape(condition)}</text>')
        for column, kind in kinds.items():
            for model, colour in zip(models, cycle(PALETTE)):
                value = models[model][condition][column]
                y += 20
                description = f"{kind}, {short(model)}" if several else kind
                out.append(
                    f'<text x="208" y="{y + 12}" text-anchor="end">{escape(description)}</text>'
                )
                if value is not None:
                    wide = 210 * value
                    out.append(f'<rect fill="{colour}" x="216" y="{y}" width="{1 + wide:.1f}" '
                               f'height="14" rx="3"/><text class="strong" x="{224 + wide:.1f}" '
                               f'y="{y + 12}">{value:.4f}</text>')
        y += 30
    box = f'<svg viewBox="0 0 500 {max(1, y)}" role="img" aria-label="bars">'
    return "".join([box, *out, "</svg>"])


def side_by_side(models: Models) -> tuple[list[str], list[list[str]]]:
    """Head and rows: a condition, what is measured, and that of each model.

    M_J where the sound stays what it is; for sounds that nothing visible makes, negative mIoU
    (lower is better).
    """
    rows = []
    for name, row in next(iter(models.values())).items():
        column = "negative_miou" if row["negative"] else "m_j"
        values = [number(one[name][column]) for one in models.values()]
        rows.append([name, COLUMNS[column], *values])
    return ["condition", "score", *(short(name) for name in models)], rows


def scores_of(rows: Rows) -> list[list[str]]:
    """A condition, and its score in each of ``COLUMNS``."""
    return [[name, *(number(row[column]) for column in COLUMNS)] for name, row in rows.items()]


def to_html(
    title: str, models: Models, headline: Sequence[tuple[str, str]], notes: Sequence[str] = ()
) -> str:
    """The whole page.

    ``models``: name -> condition -> :meth:`ConditionScores.result`, ``clean`` first;
    ``headline``: (figure, what it is).
    """
    first = next(iter(models.values()))
    charts = []
    wrong = {row["axis"] for row in first.values() if row["negative"] and row["frames"]}
    if wrong:
        told = "; ".join(f"{kind}: {axis.description}" for kind, axis in AXES.items()
                         if kind in wrong)  # fmt: skip
        charts.append(("Wrong sounds", wrong_sound_chart(models), told))
    for kind, axis in AXES.items():
        names = [
            name for name, row in first.items()
            if row["axis"] == kind and row["amount"] is not None
            and row["frames"] and row["m_j"] is not None
        ]  # fmt: skip
        if names:
            heading = f"{kind.replace('-', ' ').capitalize()} ({axis.unit})"
            note = f"{axis.description}; dotted: M_J of the clean recordings"
            charts.append((heading, axis_chart(models, names), note))
    head, rows = side_by_side(models)
    return render(
        "robustness.html", title, headline=headline, notes=notes, charts=charts, head=head,
        rows=rows, columns=HEAD[1:],
        tables=[(short(name), scores_of(rows)) for name, rows in models.items()],
    )  # fmt: skip
