"""``avs evaluate composite``: photographs with masks x sounds that fit, do not fit, or are absent.

Without ``--data`` a small generated set is used, which needs nothing but this package.
``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``model``, ``engine``, ``origin``,
``seed``, ``limit``, ``scores`` (``composite_scores.MEANINGS``, and how many cases there were),
``classes`` (the same, class by class), ``pictures`` and ``sounds`` (names of what was used).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.errors import ParameterError

if TYPE_CHECKING:
    from avs_ros.evaluation.composite import Answer
    from avs_ros.inference.segmenter import Segmenter

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 1
SHOWN = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate composite``."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder with images/coco_mini or images/people, and audio/*.csv",
    )  # fmt: skip
    parser.add_argument(
        "--split", default="validation", choices=("validation", "training", "all"),
        help="part of --data; validation (default) is what the bundled model has never met",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path("composite"), metavar="DIR")
    parser.add_argument("--model", default="c3n_light", metavar="NAME|FILE")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, default=0, help="most cases of each kind (all)")
    parser.add_argument("--seed", type=int, default=0, help="which sound meets which picture (0)")


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json`` and ``report.html``.

    ``load`` makes the segmenter out of the keywords ``model``, ``engine`` and ``device`` (None:
    ``avs_ros.inference.create_segmenter``).
    """
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation.composite import CompositeBenchmark, make_cases
    from avs_ros.evaluation.composite_data import read_library
    from avs_ros.evaluation.composite_generated import generated_library
    from avs_ros.evaluation.composite_worst import WorstAnswers

    if args.limit < 0:
        raise ParameterError(f"--limit is {args.limit}; it must be 0 (all) or more")
    library = read_library(args.data, args.split) if args.data else generated_library()
    cases = make_cases(library, args.seed, args.limit)
    if load is None:
        from avs_ros.inference import create_segmenter

        load = create_segmenter
    segmenter = load(model=args.model, engine=args.engine, device=args.device)
    answers, worst = [], WorstAnswers(SHOWN)
    try:
        benchmark = CompositeBenchmark(segmenter)
        for case in track(cases, "asking", console=Console(stderr=True)):
            answers.append(worst.keep(benchmark.ask(case)))
    finally:
        segmenter.close()
    _write(args, library.origin, answers, worst.pictures())
    return 0


def _write(
    args: argparse.Namespace, origin: str, answers: Sequence[Answer],
    worst: dict[str, list[tuple[bytes, str]]],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from avs_ros.evaluation.composite_scores import MEANINGS, by_class, score
    from avs_ros.evaluation.run_files import write_whole
    from avs_ros.report.composite_report import COLUMNS, LEGEND, number, to_html

    scores, classes = score(answers), by_class(answers)
    title = f"{args.model} on composites ({origin})"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.caption, table.caption_justify = LEGEND, "left"
    table.add_column("class", no_wrap=True)
    for words in COLUMNS.values():
        table.add_column(words, justify="right")
    for name, row in {**classes, "all": scores}.items():
        table.add_row(
            name, *(number(row[column]) for column in COLUMNS), end_section=name == [*classes][-1]
        )
    console = Console()
    console.print(table)
    for name, words in MEANINGS.items():
        print(f"  {name:15s} {number(scores[name]):>6s}  {words}")
    args.output.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "kind": "composite", "schema": SCHEMA, "model": args.model, "engine": args.engine,
        "origin": origin, "seed": args.seed, "limit": args.limit,
        "scores": scores, "classes": classes,
        "pictures": sorted({a.case.picture.name for a in answers}
                           | {a.case.second.name for a in answers if a.case.second}),
        "sounds": sorted({a.case.recording.name for a in answers if a.case.recording}),
    }  # fmt: skip
    write_whole(args.output / "metrics.json", json.dumps(about, indent=2) + "\n")
    notes = [
        f"{len(answers)} cases, seed {args.seed}. Each hears one second, at -20 dBFS, as a stream "
        "of its own. A mismatched or silent case counts for the largest thing in its picture."
    ]
    page = to_html(title, scores, classes, MEANINGS, worst, notes)
    write_whole(args.output / "report.html", page)
    for name in ("metrics.json", "report.html"):
        print(f"  {args.output / name}")
