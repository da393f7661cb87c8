"""``avs evaluate robustness``: bags with truth, played again with everything that goes wrong.

``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``model``, ``engine``, ``bags`` and
``conditions``: name -> :meth:`ConditionScores.result`, "clean" first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avs_ros.inference.segmenter import Segmenter

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate robustness``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags with true masks, or folders"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("robustness"), metavar="DIR")
    parser.add_argument("--model", default="c3n_light", metavar="NAME|FILE")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--image", default="", metavar="TOPIC", help="picture topic")
    parser.add_argument("--audio", default="", metavar="TOPIC", help="sound topic")
    parser.add_argument("--truth", default="", metavar="TOPIC", help="topic of the true masks")
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="KIND",
        help="only these: silence noise-alone other-class off-screen noise shift dropped-chunks "
        "drift dropped-frames blur low-light",
    )  # fmt: skip


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json`` and ``report.html``.

    ``load`` makes the segmenter out of the keywords ``model``, ``engine`` and ``device`` (None:
    ``avs_ros.inference.create_segmenter``).
    """
    from rich.console import Console
    from rich.progress import Progress

    from avs_ros.evaluation.robustness import (
        RobustnessSuite,
        clean_condition,
        read_recording,
    )
    from avs_ros.evaluation.robustness_conditions import choose_conditions
    from avs_ros.evaluation.truth import bags_in
    from avs_ros.media.bag import BagOptions

    options = BagOptions(args.image, args.audio)
    conditions = [clean_condition(), *choose_conditions(args.only)]
    paths = [bag for given in args.bags for bag in bags_in(given)]
    if load is None:
        from avs_ros.inference import create_segmenter

        load = create_segmenter
    with Progress(console=Console(stderr=True)) as progress:
        reading = progress.add_task("reading", total=len(paths))
        recordings = []
        for path in paths:
            recordings.append(read_recording(path, options, args.truth))
            progress.advance(reading)
        segmenter = load(model=args.model, engine=args.engine, device=args.device)
        try:
            playing = progress.add_task("playing", total=len(paths) * len(conditions))
            sheets = RobustnessSuite(segmenter, options).run(
                recordings,
                conditions,
                lambda words: progress.update(playing, advance=1, description=words),
            )
        finally:
            segmenter.close()
    rows = {sheet.condition.name: sheet.result(sheets[0]) for sheet in sheets}
    _write(args, rows, [str(path) for path in paths])
    return 0


def _write(args: argparse.Namespace, rows: dict[str, Any], bags: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from avs_ros.evaluation.robustness_conditions import AXES
    from avs_ros.evaluation.run_files import write_whole
    from avs_ros.report.robustness_report import COLUMNS, number, to_html

    title = f"Robustness of {args.model} on {len(bags)} recordings"
    table = Table(title=title)
    table.add_column("condition", no_wrap=True)
    for words in COLUMNS.values():
        table.add_column(words, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(number(row[column]) for column in COLUMNS))
    Console().print(table)
    notes = [
        f"{name}: only {row['recordings']} of {len(bags)} recordings; there is no sound of "
        "another labelled class for the others."
        for name, row in rows.items()
        if row["recordings"] < len(bags)
    ]
    for note in notes:
        print(note)
    args.output.mkdir(parents=True, exist_ok=True)
    about = {
        "kind": "robustness", "schema": SCHEMA, "model": args.model, "engine": args.engine,
        "bags": bags, "conditions": rows,
    }  # fmt: skip
    write_whole(args.output / "metrics.json", json.dumps(about, indent=2) + "\n")
    clean = rows["clean"]
    facts = [
        (number(clean["m_j"]), "M_J, clean"),
        (str(clean["frames"]), "frames with a truth"),
        (str(len(rows) - 1), "conditions"),
    ]
    write_whole(args.output / "report.html", to_html(title, rows, AXES, facts, notes))
    for name in ("metrics.json", "report.html"):
        print(f"  {args.output / name}")
