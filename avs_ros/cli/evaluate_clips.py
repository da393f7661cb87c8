"""``avs evaluate clips DIR``: real clips with boxes at moments (``DIR/boxes.csv``).

``metrics.json`` has ``kind``, ``schema`` (:data:`SCHEMA`), ``fps``, ``clips`` and ``models``: name
-> ``engine``, ``device``, ``scores`` (``clips.MEANINGS``: ``value``, ``count``, and the ends
``low``, ``high`` of the 95 % interval over clips), ``labels`` (``clips.by_label``), ``identity``
(``switches`` of the numbers of what is marked, ``seconds`` in which it was followed,
``per_minute``) and ``moments``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from avs_ros.cli import options
from avs_ros.errors import ParameterError
from avs_ros.evaluation.clips import (
    MEANINGS,
    Judged,
    by_label,
    clips_of,
    judge_clip,
    records,
    totals,
)
from avs_ros.evaluation.identity import MarkedIdentity
from avs_ros.evaluation.label_sets import read_label_sets
from avs_ros.evaluation.replay import open_segmenter
from avs_ros.evaluation.run_files import METRICS, make_folder, write_results
from avs_ros.inference.segmenter import Segmenter
from avs_ros.report.sheet import clip_sheet
from avs_ros.report.terminal import show_table

# Raised by one when a name in metrics.json changes its meaning or goes away.
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate clips``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="clips, and boxes.csv")
    parser.add_argument("--boxes", type=Path, metavar="CSV", help="another table (DIR/boxes.csv)")
    parser.add_argument("-o", "--output", type=Path, default=Path("clips"), metavar="DIR")
    options.add_models(parser)
    options.add_workers(parser, processes=False)
    parser.add_argument("--fps", type=float, default=10.0, help="frames asked per second (10)")
    parser.add_argument("--labels", type=Path, metavar="JSON", help="further right names")
    options.add_policy(parser)


def run(args: argparse.Namespace, load: Callable[..., Segmenter] | None = None) -> int:
    """Evaluate; print the table; write ``metrics.json`` and a sheet of images for each model.

    ``load``: see :func:`avs_ros.evaluation.replay.open_segmenter`.
    """
    if not args.fps > 0:
        raise ParameterError(f"--fps is {args.fps:g}; must be above 0")
    options.check_workers(args)
    models, policy = options.chosen_models(args), options.policy_of(args)
    clips = clips_of(args.folder, args.boxes)
    names = read_label_sets(args.labels) if args.labels else None
    make_folder(args.output)
    results: dict[str, Any] = {}
    for name in models:
        judged: list[Judged] = []
        identity = MarkedIdentity()
        with closing(
            open_segmenter(name, args.engine, args.device, args.threads, load)
        ) as segmenter:
            for path, moments in clips.items():
                answers = judge_clip(segmenter, path, moments, args.fps, policy, names, identity)
                judged += (found := list(answers))
                print(f"{path.name}: " + ("  ".join(map(_short, found)) or "not scored"))
        sheet = args.output / f"{Path(name).stem}.jpg"
        clip_sheet(judged, sheet)
        kept = identity.found
        results[name] = {
            "engine": segmenter.engine, "device": segmenter.device, "sheet": sheet.name,
            "scores": totals(judged), "labels": by_label(judged), "moments": records(judged),
            "identity": {
                "switches": kept.switches, "seconds": round(kept.seconds, 3),
                "per_minute": round(kept.per_minute, 3) if kept.seconds else None,
            },
        }  # fmt: skip
    _show(results)
    about = {
        "kind": "clips", "schema": SCHEMA, "fps": args.fps, "folder": args.folder.name,
        "clips": sorted(path.name for path in clips), "models": results,
    }  # fmt: skip
    write_results(args.output, {METRICS: about})
    for one in results.values():
        print(f"  {args.output / one['sheet']}")
    return 0


def _short(one: Judged) -> str:
    truth = ",".join(dict.fromkeys(t.label for t in one.moment.sources)) or "none"
    label = one.answer.label.split(",")[0] if one.answer.instances else "-"
    score = one.score
    good = score.empty if score.empty is not None else score.found
    return f"{truth}:{label} {'ok' if good else 'no'}"


def _show(models: Mapping[str, Any]) -> None:
    from rich.console import Console

    rows = [[score, *(_cell(one["scores"][score]) for one in models.values())]
            for score in MEANINGS]  # fmt: skip
    rows.append(["switches", *(_switches(one["identity"]) for one in models.values())])
    names = [Path(name).name for name in models]
    show_table(["score", *names], rows, whole=range(1, 1 + len(names)), airy=True)
    for score, meaning in MEANINGS.items():
        print(f"  {score:9s}{meaning}")
    print(f"  {'switches':9s}a minute: what is marked goes on, under another number")
    for name, one in zip(names, models.values(), strict=True):
        told = (f"{label} {of['found']} of {of['count']}" for label, of in one["labels"].items())
        Console(highlight=False, markup=False).print(f"sources found by {name}: {', '.join(told)}")


def _switches(identity: Mapping[str, Any]) -> str:
    if identity["per_minute"] is None:
        return "-"
    return f"{identity['per_minute']:.2f} in {identity['seconds']:.0f} s"


def _cell(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return "-"
    ends = "" if score["low"] is None else f" ({score['low']:.2f}..{score['high']:.2f})"
    return f"{score['value']:.3f} of {score['count']}{ends}"
