"""``avs benchmark``: how fast, in how much memory, side by side in one run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avs_ros.cli.progress import doing
from avs_ros.errors import ParameterError
from avs_ros.evaluation.run_files import make_folder
from avs_ros.inference.engines import ENGINES, choose_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    add = parser.add_argument
    add("--model", default="c3n_light", choices=("c3n_light", "avsc_light", "c3n"),
        help="a bundled light model, or the paper's network with random weights (%(default)s)")
    add("--visual", metavar="NAME", help="backbone of the paper's network; implies --model c3n")
    add("--audio", default="panns", metavar="NAME", help="its audio network (%(default)s)")
    add("--frames-per-clip", type=int, default=5, metavar="T", help="(%(default)s)")
    add("--image-size", type=int, default=224, metavar="PX", help="(%(default)s)")
    add("--device", default="auto", metavar="DEVICE", help="auto (each there is), cpu, cuda:N")
    add("--engines", metavar="A,B",
        help="only these (default: all that run by themselves); other parts take the first")
    add("--repeats", type=int, default=10, metavar="N", help="interleaved rounds (%(default)s)")
    add("--seconds", type=float, default=3.0, metavar="S",
        help="time per state of the node, and per input rate (%(default)s)")
    parts = parser.add_argument_group(
        "parts", "default: the published form against each engine, per new frame"
    )
    parts.add_argument("--scaling", action="store_true", help="with T, resolution, frame rate")
    parts.add_argument("--node", action="store_true",
                       help="through the real node over DDS: latency, CPU and memory per state")
    parts.add_argument("--throughput", action="store_true",
                       help="input faster than the model: answers, drops, latency")
    parts.add_argument("--all", action="store_true", help="every part")
    add("--domain", type=int, metavar="N", help="DDS domain for --node (default: a free one)")
    add("-o", "--output", type=Path, default=Path("avs_benchmark"), metavar="DIR",
        help="folder for benchmark.json and benchmark.png (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure, write benchmark.json and benchmark.png, print the tables."""
    if args.repeats < 1 or not 0.5 <= args.seconds <= 600:
        raise ParameterError("--repeats is at least 1, --seconds from 0.5 to 600")
    folder = make_folder(args.output)
    with doing() as tell:
        results = _measure(args, tell)
    path = folder / "benchmark.json"
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    from avs_ros.benchmarks.plot import plot
    from avs_ros.benchmarks.tables import show

    show(results)
    print("results ", path)
    print("plot    ", plot(results, folder / "benchmark.png"))
    return 0


def _measure(args: argparse.Namespace, tell: Callable[[str], None]) -> dict[str, Any]:
    """Each part that was asked for, one after another."""
    tell("starting")
    # torch comes in here: `avs benchmark --help` does not need it.
    from avs_ros.benchmarks import comparison, streams
    from avs_ros.benchmarks.measuring import describe_machine
    from avs_ros.benchmarks.subject import AVSC, LIGHT, Subject

    visual = args.visual or (args.model if args.model in (LIGHT, AVSC) else "pvt_v2_b5")
    subject = Subject(visual, args.audio, args.frames_per_clip, args.image_size)
    # The CPU, then the GPU where there is one; or the one that was asked for.
    devices = ["cpu"] if args.device == "auto" else []
    devices = list(dict.fromkeys([*devices, choose_device(args.device)]))
    parts = {n for n in ("scaling", "node", "throughput") if args.all or getattr(args, n)}
    if subject.bundled and "scaling" in parts:
        if not args.all:
            raise ParameterError(
                f"--scaling needs a published form: {visual} has none, --model c3n has"
            )
        parts.discard("scaling")
    engines = args.engines.split(",") if args.engines else []
    for name in engines:
        if name not in ENGINES:
            raise ParameterError(f"unknown engine {name!r}; known: {', '.join(ENGINES)}")
    results: dict[str, Any] = {"machine": describe_machine()}
    if args.all or not parts:
        results["comparison"] = [
            comparison.compare(
                subject, device, engines or comparison.default_forms(device), args.repeats, tell
            )
            for device in devices
        ]
    device, bare = devices[-1], [*engines, "auto"][0]
    if "scaling" in parts:
        # A new graph at each point: PyTorch unless told otherwise.
        results["scaling"] = comparison.measure_scaling(
            subject, [*engines, "torch"][0], device, min(args.repeats, 5), tell
        )
    if "node" in parts:
        results["node"] = streams.measure_node(
            subject, bare, device, 2 * args.repeats, args.seconds, tell, args.domain
        )
    if "throughput" in parts:
        results["throughput"] = streams.measure_throughput(
            subject, bare, device, args.seconds, tell
        )
    return results
