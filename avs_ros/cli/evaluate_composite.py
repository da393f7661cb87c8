"""``avs evaluate composite``: photographs with masks x sounds that fit, do not fit, or are absent.

Without ``--data`` a small generated set is used, which needs nothing but this package.
``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``origin``, ``seed``, ``limit``,
``cases``, ``pictures`` and ``sounds`` (names of what was used), and ``models``: name ->
``engine``, ``scores`` (``composite_scores.MEANINGS``, and how many cases there were) and
``classes`` (the same, class by class).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.cli.model_choice import add_models, add_threads, chosen_models, threads_of
from avs_ros.errors import ParameterError

if TYPE_CHECKING:
    from avs_ros.evaluation.composite import Case
    from avs_ros.inference.segmenter import Segmenter
    from avs_ros.report.composite_report import ModelResult

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 2
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
    add_models(parser)
    add_threads(parser)
    parser.add_argument("--limit", type=int, default=0, help="most cases of each kind (all)")
    parser.add_argument("--seed", type=int, default=0, help="which sound meets which picture (0)")


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json`` and ``report.html``.

    ``load`` makes the segmenter out of the keywords ``model``, ``engine`` and ``device`` (None:
    ``avs_ros.inference.create_segmenter``).
    """
    from avs_ros.evaluation.composite import make_cases
    from avs_ros.evaluation.composite_data import read_library
    from avs_ros.evaluation.composite_generated import generated_library
    from avs_ros.evaluation.run_files import make_folder

    if args.limit < 0:
        raise ParameterError(f"--limit is {args.limit}; it must be 0 (all) or more")
    threads = threads_of(args)
    models = chosen_models(args)
    library = read_library(args.data, args.split) if args.data else generated_library()
    cases = make_cases(library, args.seed, args.limit)
    if load is None:
        from avs_ros.evaluation.parallel import use_threads
        from avs_ros.inference import create_segmenter

        use_threads(threads)
        load = create_segmenter
    results = {}
    for name in models:
        segmenter = load(model=name, engine=args.engine, device=args.device)
        try:
            results[name] = _asked(segmenter, name, cases)
        finally:
            segmenter.close()
    make_folder(args.output)
    _write(args, library.origin, cases, results)
    return 0


def _asked(segmenter: Segmenter, name: str, cases: Sequence[Case]) -> ModelResult:
    """What one model makes of all cases."""
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation.composite import CompositeBenchmark
    from avs_ros.evaluation.composite_scores import by_class, score
    from avs_ros.evaluation.composite_worst import WorstAnswers
    from avs_ros.report.composite_report import ModelResult, short

    benchmark, worst = CompositeBenchmark(segmenter), WorstAnswers(SHOWN)
    words = f"asking {short(name)}"
    answers = [
        worst.keep(benchmark.ask(case))
        for case in track(cases, words, console=Console(stderr=True))
    ]
    return ModelResult(segmenter.engine, score(answers), by_class(answers), worst.pictures())


def _write(
    args: argparse.Namespace, origin: str, cases: Sequence[Case],
    results: Mapping[str, ModelResult],
) -> None:
    from avs_ros.evaluation.composite_scores import MEANINGS
    from avs_ros.evaluation.run_files import write_whole
    from avs_ros.report.composite_report import short, to_html

    title = f"{', '.join(short(name) for name in results)} on composites ({origin})"
    _show(title, results)
    about: dict[str, Any] = {
        "kind": "composite", "schema": SCHEMA,
        "origin": origin, "seed": args.seed, "limit": args.limit, "cases": len(cases),
        "models": {
            name: {"engine": one.engine, "scores": one.scores, "classes": one.classes}
            for name, one in results.items()
        },
        "pictures": sorted({case.picture.name for case in cases}
                           | {case.second.name for case in cases if case.second}),
        "sounds": sorted({one.name for case in cases for one in case.recordings}),
    }  # fmt: skip
    notes = [
        f"{len(cases)} cases, seed {args.seed}. Each hears one second, at -20 dBFS, as a stream "
        "of its own. A mismatched or silent case counts for the largest thing in its picture."
    ]
    page = to_html(title, results, MEANINGS, notes)
    write_whole(args.output / "metrics.json", json.dumps(about, indent=2) + "\n")
    write_whole(args.output / "report.html", page)
    for name in ("metrics.json", "report.html"):
        print(f"  {args.output / name}")


def _show(title: str, results: Mapping[str, ModelResult]) -> None:
    """Print the tables: one model class by class; several side by side."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from avs_ros.evaluation.composite_scores import MEANINGS
    from avs_ros.report.composite_report import (
        COLUMNS,
        LEGEND,
        class_rows,
        number,
        score_rows,
        short,
    )

    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("class", no_wrap=True)
    if len(results) == 1:
        one = next(iter(results.values()))
        heads = list(COLUMNS.values())
        rows = [(n, *(number(c[column]) for column in COLUMNS)) for n, c in one.classes.items()]
        total = ("all", *(number(one.scores[column]) for column in COLUMNS))
        table.caption, table.caption_justify = LEGEND, "left"
    else:
        heads = [short(name) for name in results]
        rows = class_rows(results, "m_j")
        total = ("all", *(number(one.scores["m_j"]) for one in results.values()))
        table.caption, table.caption_justify = "M_J, matching sound", "left"
    for words in heads:
        table.add_column(words, justify="right")
    for row in rows:
        table.add_row(*row, end_section=row is rows[-1])
    table.add_row(*total)
    console = Console()
    console.print(table)
    if len(results) > 1:
        scores = Table("score", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name in results:
            scores.add_column(short(name), justify="right", no_wrap=True)
        for row in score_rows(results, MEANINGS):
            scores.add_row(*row[:-1])
        console.print(scores)
    for name, *values, words in score_rows(results, MEANINGS):
        shown = [f"{value:>6s}" for value in values] if len(results) == 1 else []
        print("  ".join([f"  {name:17s}", *shown, words]))
