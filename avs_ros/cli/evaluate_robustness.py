"""``avs evaluate robustness``: bags with truth, played again with everything that goes wrong.

``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``bags`` and ``models``: name ->
``engine`` and ``conditions`` (name -> :meth:`ConditionScores.result`, "clean" first).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.cli.options import (
    add_bag_topics,
    add_models,
    add_workers,
    audio_format,
    check_workers,
    chosen_models,
)

if TYPE_CHECKING:
    from avs_ros.inference.segmenter import Segmenter

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate robustness``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags with true masks, or folders"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("robustness"), metavar="DIR")
    add_models(parser)
    add_bag_topics(parser, "true masks")
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="KIND",
        help="only these: silence noise-alone other-class off-screen noise shift dropped-chunks "
        "drift dropped-frames blur low-light",
    )  # fmt: skip
    add_workers(parser)


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the tables; write ``metrics.json`` and ``report.html``.

    ``load`` makes the segmenter out of the keywords ``model``, ``engine`` and ``device`` (None:
    ``avs_ros.inference.create_segmenter``).
    """
    from rich.console import Console
    from rich.progress import Progress

    from avs_ros.evaluation.robustness import read_recording
    from avs_ros.evaluation.robustness_conditions import choose_conditions
    from avs_ros.evaluation.robustness_run import gathered, jobs_of, release, run_suite
    from avs_ros.evaluation.run_files import make_folder
    from avs_ros.evaluation.truth import bags_in, check_bag
    from avs_ros.media.bag import BagOptions

    check_workers(args)
    models = chosen_models(args)
    options = BagOptions(args.image, args.audio, audio_format=audio_format(args))
    choose_conditions(args.only)
    paths = [bag for given in args.bags for bag in bags_in(given)]
    for path in paths:
        for message in check_bag(path, options, args.truth):
            print(f"note: {path.name}: {message}")
    with Progress(console=Console(stderr=True)) as progress:
        reading = progress.add_task("reading", total=len(paths))
        recordings = []
        for path in paths:
            recordings.append(read_recording(path, options, args.truth))
            progress.advance(reading)
        choice = jobs_of(
            recordings, args.only, models=models, engine=args.engine, device=args.device,
            threads=args.threads, bag=options, load=load,
        )  # fmt: skip
        playing = progress.add_task("playing", total=len(choice))
        done = []
        try:
            for one in run_suite(choice, args.jobs, args.ray):
                done.append(one)
                description = f"{one.job.own.path.stem}: {one.job.axis}"
                progress.update(playing, advance=1, description=description)
        finally:
            release()
    results: dict[str, dict[str, Any]] = {}
    for model in models:
        sheets = gathered(done, model)
        engine = next(one.engine for one in done if one.job.model == model)
        rows = {sheet.condition.name: sheet.result(sheets[0]) for sheet in sheets}
        results[model] = {"engine": engine, "conditions": rows}
    make_folder(args.output)
    _write(args.output, results, [str(path) for path in paths])
    return 0


def _write(folder: Path, results: dict[str, dict[str, Any]], bags: list[str]) -> None:
    from rich.console import Console

    from avs_ros.evaluation.robustness_conditions import AXES
    from avs_ros.evaluation.run_files import write_whole
    from avs_ros.report.robustness_report import number, to_html

    conditions = {name: one["conditions"] for name, one in results.items()}
    counted = f"{len(bags)} recording{'' if len(bags) == 1 else 's'}"
    title = f"Robustness of {', '.join(Path(name).stem for name in results)} on {counted}"
    console = Console()
    for name, rows in conditions.items():
        console.print(_table(title if len(results) == 1 else Path(name).stem, rows))
    if len(results) > 1:
        console.print(_side_by_side(conditions))
    first = next(iter(conditions.values()))
    notes = [
        f"{name}: only {row['recordings']} of {len(bags)} recordings; there is no sound of "
        "another labelled class for the others."
        for name, row in first.items()
        if row["recordings"] < len(bags)
    ]
    for note in notes:
        print(note)
    about = {"kind": "robustness", "schema": SCHEMA, "bags": bags, "models": results}
    headline = [
        *((number(rows["clean"]["m_j"]), f"M_J, clean, {Path(name).stem}")
          for name, rows in conditions.items()),
        (str(first["clean"]["frames"]), "frames with a truth"),
        (str(len(first) - 1), "conditions"),
    ]  # fmt: skip
    page = to_html(title, conditions, AXES, headline, notes)
    write_whole(folder / "metrics.json", json.dumps(about, indent=2) + "\n")
    write_whole(folder / "report.html", page)
    for name in ("metrics.json", "report.html"):
        print(f"  {folder / name}")


def _table(title: str, rows: dict[str, Any]) -> Any:
    """All scores of one model."""
    from rich.table import Table

    from avs_ros.report.robustness_report import COLUMNS, number

    table = Table(title=title)
    table.add_column("condition", no_wrap=True)
    for description in COLUMNS.values():
        table.add_column(description, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(number(row[column]) for column in COLUMNS))
    return table


def _side_by_side(conditions: dict[str, dict[str, Any]]) -> Any:
    """One score a condition, a column a model."""
    from rich.table import Table

    from avs_ros.report.robustness_report import side_by_side

    head, rows = side_by_side(conditions)
    table = Table(title="Side by side")
    for column, description in enumerate(head):
        table.add_column(
            description, justify="right" if column > 1 else "left", no_wrap=column == 0
        )
    for row in rows:
        table.add_row(*row)
    return table
