"""``avs evaluate robustness``: bags with truth, played again with everything that goes wrong.

``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``bags`` and ``models``: name ->
``engine`` and ``conditions`` (name -> :meth:`ConditionScores.result`, "clean" first).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avs_ros.cli import options
from avs_ros.evaluation import robustness
from avs_ros.evaluation.replay import spread
from avs_ros.evaluation.robustness_conditions import choose_conditions
from avs_ros.evaluation.run_files import make_folder, write_results
from avs_ros.evaluation.truth import checked_bags
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.bag import BagOptions
from avs_ros.report.page import short
from avs_ros.report.robustness_report import HEAD, number, scores_of, side_by_side, to_html
from avs_ros.report.terminal import show_table

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate robustness``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags with true masks, or folders"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("robustness"), metavar="DIR")
    options.add_models(parser)
    options.add_bag_topics(parser, "true masks")
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="KIND",
        help="only these: silence noise-alone other-class off-screen noise shift dropped-chunks "
        "drift dropped-frames blur low-light",
    )  # fmt: skip
    options.add_workers(parser)


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the tables; write ``metrics.json`` and ``report.html``.

    ``load``: see :func:`avs_ros.evaluation.replay.open_segmenter`.
    """
    from rich.console import Console
    from rich.progress import Progress

    options.check_workers(args)
    models = options.chosen_models(args)
    bag_options = BagOptions(args.image, args.audio, audio_format=options.audio_format(args))
    choose_conditions(args.only)
    paths = checked_bags(args.bags, bag_options, args.truth)
    with Progress(console=Console(stderr=True)) as progress:
        recordings = [
            robustness.read_recording(path, bag_options, args.truth)
            for path in progress.track(paths, description="reading")
        ]
        jobs = robustness.jobs_of(
            recordings, args.only, models=models, engine=args.engine, device=args.device,
            threads=args.threads, bag=bag_options, load=load,
        )  # fmt: skip
        playing = progress.add_task("playing", total=len(jobs))
        done = []
        try:
            for one in spread(robustness.run_suite_job, jobs, args.jobs, args.ray):
                done.append(one)
                description = f"{one.job.own.path.stem}: {one.job.axis}"
                progress.update(playing, advance=1, description=description)
        finally:
            robustness.release()
    results: dict[str, dict[str, Any]] = {}
    for model in models:
        sheets = robustness.gathered(done, model)
        engine = next(one.engine for one in done if one.job.model == model)
        rows = {sheet.condition.name: sheet.result(sheets[0]) for sheet in sheets}
        results[model] = {"engine": engine, "conditions": rows}
    _write(args.output, results, [str(path) for path in paths])
    return 0


def _write(folder: Path, results: dict[str, dict[str, Any]], bags: list[str]) -> None:
    make_folder(folder)
    conditions = {name: one["conditions"] for name, one in results.items()}
    counted = f"{len(bags)} recording{'' if len(bags) == 1 else 's'}"
    title = f"Robustness of {', '.join(map(short, results))} on {counted}"
    for name, rows in conditions.items():
        show_table(HEAD, scores_of(rows), title=title if len(results) == 1 else short(name))
    if len(results) > 1:
        show_table(*side_by_side(conditions), words=(0, 1), title="Side by side")
    first = next(iter(conditions.values()))
    notes = [
        f"{name}: only {row['recordings']} of {len(bags)} recordings; there is no sound of "
        "another labelled class for the others."
        for name, row in first.items()
        if row["recordings"] < len(bags)
    ]
    for note in notes:
        print(note)
    headline = [
        *((number(rows["clean"]["m_j"]), f"M_J, clean, {short(name)}")
          for name, rows in conditions.items()),
        (str(first["clean"]["frames"]), "frames with a truth"),
        (str(len(first) - 1), "conditions"),
    ]  # fmt: skip
    write_results(folder, {
        "metrics.json": {"kind": "robustness", "schema": SCHEMA, "bags": bags, "models": results},
        "report.html": to_html(title, conditions, headline, notes),
    })
