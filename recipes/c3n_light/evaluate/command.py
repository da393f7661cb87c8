"""``python -m recipes.c3n_light evaluate | clips | failures | thresholds``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from avs_ros.evaluation.run_files import write_whole
from avs_ros.inference.registry import DEFAULT_MODEL
from recipes.c3n_light import pictures, recordings
from recipes.c3n_light.evaluate.contestants import FLOORS, Contestant, contestant

VERBS = ("evaluate", "clips", "failures", "thresholds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of all of them."""
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument(
        "--data", type=Path, help="folder of the training data (failures: free pictures without)"
    )
    parser.add_argument("--work", type=Path, default=Path("light_training"), help="caches")
    parser.add_argument(
        "--model", action="append", metavar="NAME|FILE|NAME=FILE",
        help=f"who is asked ({DEFAULT_MODEL}); may be repeated; also {', '.join(FLOORS)}",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, help="JSON, picture or model file")
    parser.add_argument("--table", type=Path, help="evaluate: Markdown table")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=10_000, help="evaluate: cases of each kind")
    parser.add_argument("--rate", type=float, default=5.0, help="clips: frames per second asked")


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Parse and do it; raises AvsError for what cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m recipes.c3n_light", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    if args.data is None and args.verb != "failures":
        parser.error(f"{args.verb} needs --data DIR")
    if args.data is not None and args.verb != "clips":
        recordings.gather(args.data, args.work)
        pictures.gather(args.data, args.work)
    models = [
        contestant(text, args.data, args.engine, args.device)
        for text in dict.fromkeys(args.model or [DEFAULT_MODEL])
    ]
    if args.verb == "thresholds":
        from recipes.c3n_light.evaluate.thresholds import set_thresholds

        light = models[0].light
        if light is None or args.output is None:
            parser.error("thresholds needs a light C3N --model, and -o FILE to write")
        set_thresholds(args.work, light, args.output, say, args.limit)
        return
    if args.verb == "clips":
        from recipes.c3n_light.evaluate.clips import show_clips

        show_clips(args.data / "clips", models, args.rate, args.output or Path("clips.jpg"), say)
        return
    if args.verb == "failures":
        from recipes.c3n_light.evaluate.failures import show_failures

        output = args.output or Path("failures.jpg")
        show_failures(args.data, args.work, models[0], output, say)
        return
    _evaluate(args, models, say)


def _evaluate(
    args: argparse.Namespace, models: Sequence[Contestant], say: Callable[[str], None]
) -> None:
    from recipes.c3n_light.evaluate.judging import evaluate

    judgement = evaluate(args.work, models, say, args.limit)
    if len(models) > 1 and not args.table:
        say(judgement.to_markdown())
    for path, text in ((args.output, judgement.to_json()), (args.table, judgement.to_markdown())):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
            say(f"wrote {path}")
