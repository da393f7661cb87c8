"""Results as one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from avs_ros.benchmarks.forms import AUTHORS
from avs_ros.benchmarks.measuring import machine_description
from avs_ros.benchmarks.tables import AXES, FORM_NAMES, mib, milliseconds, ratio
from avs_ros.errors import optional

_INK, _MUTED, _GRID = "#1b1f24", "#6b7280", "#e5e7eb"
_PUBLISHED, _STREAM = "#9aa3af", "#1769aa"
_PANEL_IN = (5.2, 2.9)
_COLUMNS = 2
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True, "axes.labelcolor": _MUTED, "axes.labelsize": 8,
    "axes.titlecolor": _INK, "axes.titlelocation": "left", "axes.titlesize": 9.5,
    "axes.titleweight": "bold", "grid.color": _GRID, "grid.linewidth": 0.7,
    "lines.linewidth": 1.6, "lines.marker": "o", "lines.markersize": 4,
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
    **{f"{axis}tick.{what}": value for axis in "xy" for what, value in (
        ("labelsize", 8), ("color", _MUTED), ("major.size", 0), ("minor.size", 0),
    )},
}  # fmt: skip

Panel = tuple[str, Callable[[Any], None]]


def plot(results: dict[str, Any], path: Path) -> Path:
    """Draw what ``results`` hold to ``path`` (PNG) and return it.

    Raises MissingDependencyError without matplotlib.
    """
    optional("matplotlib", "the plot")
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = _panels(results)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with rc_context(_STYLE):
        figure = Figure(
            figsize=(_PANEL_IN[0] * columns, _PANEL_IN[1] * rows + 0.4),
            layout=ConstrainedLayoutEngine(rect=(0.01, 0.03, 0.98, 0.96)),
        )
        for number, (title, draw) in enumerate(panels, 1):
            axis = figure.add_subplot(rows, columns, number)
            axis.set_title(title)
            draw(axis)
        figure.text(0.995, 0.002, machine_description(results["machine"]), ha="right",
                    va="bottom", fontsize=6.5, color=_MUTED)
        figure.savefig(path, dpi=110)
    return path


def _panels(results: dict[str, Any]) -> list[Panel]:
    panels: list[Panel] = []
    for part in results.get("comparison", ()):
        name = part["subject"]["name"]
        panels.append((f"{name}: ms per new frame", partial(_times, part)))
        panels.append((f"{name}: memory while running (MiB)", partial(_memory, part)))
    if part := results.get("scaling"):
        for key, description in AXES.items():
            panels.append((f"ms per new frame against {description}", partial(_lines, part, key)))
    if part := results.get("node"):
        panels.append(("Through the node: ms", partial(_node, part)))
    if part := results.get("throughput"):
        title = "Input faster than the model: answers per second"
        panels.append((title, partial(_throughput, part)))
    return panels


def _bars(axis: Any, bars: Iterable[tuple[str, float, str, str]]) -> None:
    """Bars by name, value, what is told of it, colour."""
    names, values, told, colours = zip(*bars, strict=True)
    drawn = axis.barh(names, values, color=colours, height=0.62)
    axis.bar_label(drawn, told, padding=3, fontsize=8, color=_INK)
    axis.tick_params(axis="y", labelcolor=_INK)
    axis.invert_yaxis()
    axis.set_xlim(0, max(values) * 1.3)
    axis.xaxis.set_visible(False)


def _times(part: dict[str, Any], axis: Any) -> None:
    timed = {form: found["ms"] for form, found in part["forms"].items() if "ms" in found}
    _bars(axis, (
        (FORM_NAMES[form], ms["median"], milliseconds(ms["median"])
         + ("" if form == AUTHORS else f"  ({ratio(ms['ratio'])} faster)"), _colour(form))
        for form, ms in timed.items()
    ))  # fmt: skip


def _memory(part: dict[str, Any], axis: Any) -> None:
    found = {form: one["memory"] for form, one in part["forms"].items() if "ms" in one}
    taken = {form: one["running_mib"] or one["peak_mib"] for form, one in found.items()}
    _bars(axis, ((FORM_NAMES[f], value, mib(value), _colour(f)) for f, value in taken.items()))


def _lines(part: dict[str, Any], key: str, axis: Any) -> None:
    for form in (AUTHORS, part["engine"]):
        points = [(p["value"], p[form]["ms"]["median"]) for p in part[key] if "ms" in p[form]]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        axis.plot(x, y, color=_colour(form))
        axis.annotate(FORM_NAMES[form], (x[-1], y[-1]), xytext=(0, 6), fontsize=8,
                      textcoords="offset points", ha="right", color=_colour(form))
    axis.set_yscale("log")
    axis.set_xticks([p["value"] for p in part[key]])
    axis.margins(y=0.18)
    axis.grid(True, axis="y")
    axis.set_xlabel(AXES[key])


def _node(part: dict[str, Any], axis: Any) -> None:
    bare, whole = (part["ms"][name]["median"] for name in ("bare_step", "end_to_end"))
    _bars(axis, (
        ("bare model step", bare, milliseconds(bare), _PUBLISHED),
        ("published to received", whole, milliseconds(whole), _STREAM),
    ))  # fmt: skip


def _throughput(part: dict[str, Any], axis: Any) -> None:
    offered = [run["offered_hz"] for run in part["runs"]]
    answered = [run["answered_hz"] for run in part["runs"]]
    limit = 1e3 / part["step_ms"]
    axis.plot(offered, answered, color=_STREAM)
    axis.axhline(limit, color=_PUBLISHED, linewidth=1.2, linestyle="--", marker="")
    axis.text(offered[-1], limit, "bare model", fontsize=8, color=_MUTED, ha="right", va="bottom")
    axis.set_ylim(0, 1.25 * max(*answered, limit))
    axis.set_xlabel("frames offered per second")
    axis.grid(True, axis="y")


def _colour(form: str) -> str:
    return _PUBLISHED if form.startswith(AUTHORS) else _STREAM
