"""``avs evaluate compare A B``: two runs over the same bags, and how sure the difference is."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from avs_ros.errors import DatasetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate compare``."""
    what = "a run: its folder, metrics.json, or frames*.jsonl"
    parser.add_argument("a", type=Path, metavar="A", help=what)
    parser.add_argument("b", type=Path, metavar="B", help="the run to hold against it")
    parser.add_argument("-o", "--output", type=Path, default=Path("comparison"), metavar="DIR")


def run(args: argparse.Namespace) -> int:
    """Compare; print the table; write ``comparison.json`` and ``report.html``."""
    from rich.console import Console
    from rich.table import Table

    from avs_ros.evaluation.compare import compare
    from avs_ros.evaluation.metrics import LEVEL, RESAMPLES, SEED
    from avs_ros.evaluation.run_files import SCHEMA, read_run, write_whole
    from avs_ros.report.compare_report import rows_of, write_report

    found = compare(read_run(args.a), read_run(args.b))
    title = f"A = {found.name_a}, B = {found.name_b}"
    table = Table("score", "A", "B", "B - A", f"{LEVEL:.0%} interval", "says", title=title)
    for row in rows_of(found):
        table.add_row(*row)
    Console().print(table)
    about = {
        "schema": SCHEMA, "a": str(args.a), "b": str(args.b), "level": LEVEL,
        "resamples": RESAMPLES, "seed": SEED, "frames": found.frames,
        "recordings": len(found.recordings),
        "scores": {name: dataclasses.asdict(one) for name, one in found.scores.items()},
        "classes": {name: dataclasses.asdict(one) for name, one in found.classes.items()},
    }
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{args.output}: cannot be written ({error.strerror})") from error
    write_whole(args.output / "comparison.json", json.dumps(about, indent=2) + "\n")
    write_report(args.output / "report.html", found)
    for name in ("comparison.json", "report.html"):
        print(f"  {args.output / name}")
    return 0
