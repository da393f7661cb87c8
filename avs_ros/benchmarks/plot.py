"""Results as one image."""

from __future__ import annotations

from collections.abc import Callable
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

Panel = tuple[str, Callable[[Any], None]]


def plot(results: dict[str, Any], path: Path) -> Path:
    """Draw what ``results`` hold to ``path`` (PNG) and return it.

    Raises MissingDependencyError without matplotlib.
    """
    optional("matplotlib", "the plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    panels = _panels(results)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(
        figsize=(_PANEL_IN[0] * columns, _PANEL_IN[1] * rows + 0.4),
        layout=ConstrainedLayoutEngine(rect=(0.01, 0.03, 0.98, 0.96)),
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for (title, draw), axis in zip(panels, axes, strict=False):
        axis.set_title(title, loc="left", fontsize=9.5, color=_INK, fontweight="bold")
        axis.tick_params(which="both", labelsize=8, colors=_MUTED, length=0)
        axis.set_axisbelow(True)
        for side in axis.spines.values():
            side.set_visible(False)
        draw(axis)
    for axis in axes[len(panels):]:
        axis.set_visible(False)
    figure.text(0.995, 0.002, machine_description(results["machine"]), ha="right", va="bottom",
                fontsize=6.5, color=_MUTED)
    figure.savefig(path, dpi=110)
    return path


def _panels(results: dict[str, Any]) -> list[Panel]:
    panels: list[Panel] = []
    comparisons = results.get("comparison") or []
    for part in comparisons if isinstance(comparisons, list) else [comparisons]:
        name = part["subject"]["name"]
        panels.append((f"{name}: ms per new frame", partial(_times, part=part)))
        panels.append((f"{name}: memory while running (MiB)", partial(_memory, part=part)))
    if scaling := results.get("scaling"):
        for key, description in AXES.items():
            panels.append((f"ms per new frame against {description}",
                           partial(_lines, part=scaling, key=key)))
    if node := results.get("node"):
        panels.append(("Through the node: ms", partial(_node, part=node)))
    if throughput := results.get("throughput"):
        panels.append(("Input faster than the model: answers per second",
                       partial(_throughput, part=throughput)))
    return panels


def _bars(
    axis: Any, names: list[str], values: list[float], description: list[str], colours: list[str]
) -> None:
    places = range(len(names))
    axis.barh(places, values, color=colours, height=0.62)
    for place, value, text in zip(places, values, description, strict=True):
        axis.text(value, place, f" {text}", va="center", fontsize=8, color=_INK)
    axis.set_yticks(list(places), names)
    axis.tick_params(axis="y", labelcolor=_INK)
    axis.invert_yaxis()
    axis.set_xlim(0, max(values) * 1.3)
    axis.xaxis.set_visible(False)


def _timed(part: dict[str, Any]) -> dict[str, Any]:
    return {form: found for form, found in part["forms"].items() if "ms" in found}


def _times(axis: Any, part: dict[str, Any]) -> None:
    timed = _timed(part)
    _bars(
        axis, [FORM_NAMES.get(f, f) for f in timed], [v["ms"]["median"] for v in timed.values()],
        [
            milliseconds(v["ms"]["median"])
            + ("" if f == AUTHORS else f"  ({ratio(v['ms']['ratio'])} faster)")
            for f, v in timed.items()
        ],
        [_colour(f) for f in timed],
    )


def _memory(axis: Any, part: dict[str, Any]) -> None:
    timed = _timed(part)
    values = [v["memory"]["running_mib"] or v["memory"]["peak_mib"] for v in timed.values()]
    _bars(axis, [FORM_NAMES.get(f, f) for f in timed], values, [mib(v) for v in values],
          [_colour(f) for f in timed])


def _lines(axis: Any, part: dict[str, Any], key: str) -> None:
    for form in (AUTHORS, part["engine"]):
        points = [(p["value"], p[form]["ms"]["median"]) for p in part[key] if "ms" in p[form]]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        axis.plot(x, y, "o-", color=_colour(form), markersize=4, linewidth=1.6)
        axis.annotate(FORM_NAMES.get(form, form), (x[-1], y[-1]), xytext=(0, 6), fontsize=8,
                      textcoords="offset points", ha="right", color=_colour(form))
    axis.set_yscale("log")
    axis.set_xticks([p["value"] for p in part[key]])
    axis.margins(y=0.18)
    axis.grid(True, axis="y", color=_GRID, linewidth=0.7)
    axis.set_xlabel(AXES[key], fontsize=8, color=_MUTED)


def _node(axis: Any, part: dict[str, Any]) -> None:
    names = {"bare_step": "bare model step", "end_to_end": "published to received"}
    values = [part["ms"][name]["median"] for name in names]
    _bars(axis, list(names.values()), values, [milliseconds(v) for v in values],
          [_PUBLISHED, _STREAM])


def _throughput(axis: Any, part: dict[str, Any]) -> None:
    offered = [run["offered_hz"] for run in part["runs"]]
    answered = [run["answered_hz"] for run in part["runs"]]
    axis.plot(offered, answered, "o-", color=_STREAM, markersize=4, linewidth=1.6)
    limit = 1e3 / part["step_ms"]
    axis.axhline(limit, color=_PUBLISHED, linewidth=1.2, linestyle="--")
    axis.text(offered[-1], limit, "bare model", fontsize=8, color=_MUTED, ha="right", va="bottom")
    axis.set_ylim(0, 1.25 * max(*answered, limit))
    axis.set_xlabel("frames offered per second", fontsize=8, color=_MUTED)
    axis.grid(True, axis="y", color=_GRID, linewidth=0.7)


def _colour(form: str) -> str:
    return _PUBLISHED if form.startswith(AUTHORS) else _STREAM
