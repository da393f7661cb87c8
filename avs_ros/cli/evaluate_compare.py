"""``avs evaluate compare A B``: two runs over the same bags, and how sure the difference is."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from avs_ros.evaluation.compare import compare
from avs_ros.evaluation.metrics import LEVEL, RESAMPLES, SEED
from avs_ros.evaluation.run_files import SCHEMA, make_folder, read_run, write_results
from avs_ros.report.compare_report import rows_of, to_html
from avs_ros.report.terminal import show_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate compare``."""
    what = "a run: its folder, metrics.json, or frames*.jsonl"
    parser.add_argument("a", type=Path, metavar="A", help=what)
    parser.add_argument("b", type=Path, metavar="B", help="the run to hold against it")
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison"), metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Compare; print the table; write ``comparison.json`` and ``report.html``."""
    found = compare(read_run(args.a), read_run(args.b))
    title = f"A = {found.name_a}, B = {found.name_b}"
    head = ("score", "A", "B", "B - A", f"{LEVEL:.0%} interval", "says")
    show_table(head, rows_of(found), range(len(head)), (), title=title)
    about = {
        "schema": SCHEMA, "a": str(args.a), "b": str(args.b), "level": LEVEL,
        "resamples": RESAMPLES, "seed": SEED, "frames": found.frames,
        "recordings": len(found.recordings),
        "scores": {name: dataclasses.asdict(one) for name, one in found.scores.items()},
        "classes": {name: dataclasses.asdict(one) for name, one in found.classes.items()},
    }
    make_folder(args.output)
    write_results(args.output, {"comparison.json": about, "report.html": to_html(found)})
    return 0
