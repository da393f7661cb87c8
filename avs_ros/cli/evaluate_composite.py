"""``avs evaluate composite``: photographs with masks x sounds that fit, do not fit, or are absent.

Without ``--data`` a small generated set is used, which needs nothing but this package.
``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``origin``, ``seed``, ``limit``,
``cases``, ``images`` and ``sounds`` (names of what was used), and ``models``: name ->
``engine``, ``scores`` (``composite_scores.MEANINGS``, and how many cases there were),
``intervals`` (score -> ends of the 95 % interval over images), ``lead`` (what the first model
has more: ``value``, ``low``, ``high``, ``count``) and ``classes`` (scores class by class).
``worst.jpg`` shows the worst answers of the first model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from avs_ros.cli import options
from avs_ros.cli.progress import tracked
from avs_ros.errors import ParameterError
from avs_ros.evaluation.composite import Case, make_cases
from avs_ros.evaluation.composite_benchmark import CompositeBenchmark, ScoredCase, reaction
from avs_ros.evaluation.composite_data import read_dataset
from avs_ros.evaluation.composite_scores import WorstPredictions, by_class, intervals, lead, score
from avs_ros.evaluation.metrics import Difference
from avs_ros.evaluation.replay import open_segmenter
from avs_ros.evaluation.run_files import make_folder, write_results
from avs_ros.gate import apply_gate
from avs_ros.inference.segmenter import Segmenter
from avs_ros.report.composite_report import (
    COLUMNS,
    LEGEND,
    ModelResult,
    class_rows,
    classes_of,
    lead_rows,
    number,
    score_rows,
    to_html,
)
from avs_ros.report.page import short
from avs_ros.report.sheet import write_sheet
from avs_ros.report.terminal import show_table

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
    options.add_models(parser)
    options.add_workers(parser, processes=False)
    parser.add_argument(
        "--hard", action="store_true", help="without --data: dark, noisy and small images"
    )
    parser.add_argument("--limit", type=int, default=0, help="most cases of each kind (all)")
    parser.add_argument("--seed", type=int, default=0, help="which sound meets which image (0)")
    options.add_policy(parser)


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json`` and ``report.html``.

    ``load``: see :func:`avs_ros.evaluation.replay.open_segmenter`.
    """
    from avs_ros.evaluation.composite_generated import generated_dataset

    if args.limit < 0:
        raise ParameterError(f"--limit is {args.limit}; it must be 0 (all) or more")
    options.check_workers(args)
    policy = options.policy_of(args)
    if args.hard and args.data:
        raise ParameterError("--hard belongs to the generated set: leave --data away")
    models = options.chosen_models(args)
    dataset = read_dataset(args.data, args.split) if args.data else generated_dataset(args.hard)
    cases = make_cases(dataset, args.seed, args.limit)
    results: dict[str, ModelResult] = {}
    first: list[ScoredCase] = []  # the first model's answers
    for name in models:
        with closing(
            open_segmenter(name, args.engine, args.device, args.threads, load)
        ) as segmenter:
            apply_gate(segmenter, policy.gate)
            benchmark, worst = CompositeBenchmark(segmenter, policy), WorstPredictions(SHOWN)
            asked = tracked(cases, f"asking {short(name)}", len(cases))
            answers = [worst.keep(benchmark.ask(case)) for case in asked]
            results[name] = ModelResult(
                segmenter.engine, {**score(answers), **reaction(segmenter, cases, policy)},
                by_class(answers), worst.images(), intervals(answers),
                lead(first, answers) if first else {},
            )
        first = first or answers
    _write(args, dataset.origin, cases, results)
    return 0


def _write(
    args: argparse.Namespace, origin: str, cases: Sequence[Case],
    results: Mapping[str, ModelResult],
) -> None:
    make_folder(args.output)
    title = f"{', '.join(short(name) for name in results)} on composites ({origin})"
    _show(title, results)
    about: dict[str, Any] = {
        "kind": "composite", "schema": SCHEMA,
        "origin": origin, "seed": args.seed, "limit": args.limit, "cases": len(cases),
        "models": {
            name: {
                "engine": one.engine, "scores": one.scores, "intervals": one.intervals,
                "lead": {score: _plain(found) for score, found in one.behind.items()},
                "classes": one.classes,
            }
            for name, one in results.items()
        },
        "images": sorted({case.image.name for case in cases}
                           | {case.second.name for case in cases if case.second}),
        "sounds": sorted({one.name for case in cases for one in case.recordings}),
    }  # fmt: skip
    notes = [
        f"{len(cases)} cases, seed {args.seed}. Each hears one second, at -20 dBFS, as a stream "
        "of its own. A mismatched or silent case counts for the largest thing in its image."
    ]
    write_results(
        args.output, {"metrics.json": about, "report.html": to_html(title, results, notes)}
    )
    shown = [one for kind in next(iter(results.values())).worst.values() for one in kind]
    write_sheet(args.output / "worst.jpg", shown)
    print(f"  {args.output / 'worst.jpg'}")


def _plain(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    ends = {"low": found.low, "high": found.high, "count": found.frames}
    return {"value": found.value, **ends}


def _show(title: str, results: Mapping[str, ModelResult]) -> None:
    """Print the tables: one model class by class; several side by side."""
    names = [short(name) for name in results]
    several = len(results) > 1
    if several:
        heads, caption = names, "M_J, matching sound"
        total = ("all", *(number(one.scores["m_j"]) for one in results.values()))
        rows = [*class_rows(results, "m_j"), total]
    else:
        heads, caption = list(COLUMNS.values()), LEGEND
        rows = classes_of(next(iter(results.values())))
    show_table(
        ["class", *heads], rows, airy=True, last=True, title=title, caption=caption,
        caption_justify="left",
    )  # fmt: skip
    if several:
        whole, scores = range(1, 1 + len(names)), [row[:-1] for row in score_rows(results)]
        show_table(["score", *names], scores, whole=whole, airy=True)
        show_table([f"{names[0]} less", *names[1:]], lead_rows(results), whole=whole, airy=True)
    for name, *values, description in score_rows(results):
        shown = [] if several else [f"{value:22s}" for value in values]
        print("  ".join([f"  {name:18s}", *shown, description]))
