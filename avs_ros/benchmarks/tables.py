"""Results as tables on the terminal."""

from __future__ import annotations

from typing import Any

from avs_ros.benchmarks.forms import AUTHORS
from avs_ros.benchmarks.measuring import machine_description

FORM_NAMES = {
    AUTHORS: "published form",
    "authors-fp16": "published form, fp16",
    "torch": "stream, PyTorch",
    "onnxruntime": "stream, ONNX Runtime",
    "openvino": "stream, OpenVINO",
    "cuda-graph": "stream, CUDA graph fp16",
    "cuda-graph-fp32": "stream, CUDA graph fp32",
    "cuda-graph-compiled": "stream, CUDA graph fp16, compiled",
    "tensorrt": "stream, TensorRT fp16",
    "onnxruntime-tensorrt": "stream, ONNX Runtime's TensorRT",
}
LEFT = "[dim]left out[/]"
AXES = {"clip": "frames per clip T", "size": "frame size (px)"}


def show(results: dict[str, Any]) -> None:
    """Print every part that ``results`` holds."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(machine_description(results["machine"]), style="dim", soft_wrap=True)
    parts = [_comparison(part) for part in results.get("comparison", ())]
    parts += [
        draw(results[name])
        for name, draw in (("scaling", _scaling), ("node", _node), ("throughput", _throughput))
        if name in results
    ]
    for tables in parts:
        console.print()
        for table in tables:
            console.print(table)


def _table(title: str, *columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                  pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    return table


def _comparison(part: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    clip = part["subject"]["frames_per_clip"]
    table = _table(
        f"{part['subject']['name']}, T = {clip}, {part['device']}: one new frame, sound included; "
        f"median of {part['rounds']} interleaved rounds",
        "", "ms", "frames/s", "ratio", "running MiB", "peak MiB", "difference",
    )
    gpu = any((f.get("memory") or {}).get("gpu_mib") for f in part["forms"].values())
    if gpu:
        table.add_column("GPU MiB", justify="right")
    left_out: list[str] = []
    for form, found in part["forms"].items():
        description = FORM_NAMES[form]
        if "ms" not in found:
            left_out.append(f"{description} is left out: {found.get('left_out', '')}")
            continue
        ms, memory = found["ms"], found["memory"]
        table.add_row(
            description, milliseconds(ms["median"]), f"{1e3 / ms['median']:.3g}",
            ratio(ms["ratio"]), mib(memory["running_mib"]), mib(memory["peak_mib"]),
            "-" if form == part["reference"] else f"{found['difference']:.1e}",
            *([mib(memory["gpu_mib"])] if gpu else []),
        )
    note = "difference: largest, of the mask logits, as a share of their standard deviation"
    return [table, *(Text(line, "dim") for line in (note, *left_out))]


def _scaling(part: dict[str, Any]) -> list[Any]:
    engine = part["engine"]
    description = FORM_NAMES[engine]
    tables = []
    for axis, title in AXES.items():
        table = _table(
            f"Scaling with {title}", title, "published form ms", f"{description} ms",
            "published form MiB", f"{description} MiB",
        )
        for point in part[axis]:
            both = [point[form] for form in (AUTHORS, engine)]
            timed = [milliseconds(one["ms"]["median"]) if "ms" in one else LEFT for one in both]
            held = [mib(one["running_mib"]) if "ms" in one else LEFT for one in both]
            table.add_row(str(point["value"]), *timed, *held)
        tables.append(table)
    table = _table("Scaling with frame rate", "Hz", f"{description} ms", "state KiB", "load %")
    for point in part["rate"]:
        if "ms" in point:
            table.add_row(str(point["value"]), milliseconds(point["ms"]["median"]),
                          f"{point['state_kib']:.0f}", f"{100 * point['load']:.0f}")
    tables.append(table)
    return tables


def _node(part: dict[str, Any]) -> list[Any]:
    width, height = part["image"]
    ends = _table(
        f"{part['model']} on {part['engine']} through the node ({part['rmw']}), "
        f"{width}x{height} frames; median of {part['rounds']} interleaved rounds",
        "", "ms", "90 %",
    )
    for name, description in (("bare_step", "bare model step"),
                        ("end_to_end", "frame published to mask received")):
        ms = part["ms"][name]
        ends.add_row(description, milliseconds(ms["median"]), milliseconds(ms["high"]))
    ends.add_row("overhead of node and DDS", milliseconds(part["overhead_ms"]),
                 f"{100 * part['overhead_share']:.0f} % of a step")
    states = _table("The node's process", "state", "CPU % of a core", "RSS MiB", "frames", "masks")
    for state, found in part["states"].items():
        states.add_row(state, f"{found['cpu_percent']:.1f}", mib(found["rss_mib"]),
                       str(found.get("sent", "")), str(found.get("received", "")))
    return [ends, states]


def _throughput(part: dict[str, Any]) -> list[Any]:
    table = _table(
        f"{part['model']} on {part['engine']}: input against a model that takes "
        f"{milliseconds(part['step_ms'])} ms",
        "input", "Hz", "frames", "answered", "dropped", "answers/s", "latency ms", "90 %",
    )
    for run in part["runs"]:
        latency = run["latency_ms"]
        table.add_row(
            f"{run['factor']:g} x model", f"{run['offered_hz']:.3g}", str(run["offered"]),
            str(run["answered"]), str(run["dropped"]), f"{run['answered_hz']:.3g}",
            milliseconds(latency["p50"]), milliseconds(latency["p90"]),
        )
    return [table]


def milliseconds(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float) -> str:
    """How many times faster."""
    return f"{value:.0f}x" if value >= 10 else f"{value:.2g}x"


def mib(value: float | None) -> str:
    """Whole MiB, or a dash."""
    return "-" if value is None else f"{value:.0f}"
