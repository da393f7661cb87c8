"""``avs evaluate bag``: replay bags that carry their truth, in process or live over DDS."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avs_ros.cli.evaluation_outcome import Outcome
from avs_ros.cli.options import (
    DEFAULT_MODEL,
    REFERENCE_ENGINE,
    add_bag_topics,
    add_workers,
    audio_format,
    check_workers,
)
from avs_ros.errors import ParameterError

if TYPE_CHECKING:
    from avs_ros.evaluation.label_sets import LabelSets
    from avs_ros.inference.segmenter import Segmenter
    from avs_ros.media.bag import BagOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate bag``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags, or folders of them"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), metavar="DIR")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|FILE")
    parser.add_argument(
        "--engine", default="",
        help=f"default: {REFERENCE_ENGINE}, the reference; live auto, the fastest, as the node",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    add_bag_topics(parser, "masks or boxes")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE",
        help='more names that are right: {"name": {"visible": [...], "audible": [...]}} (JSON)',
    )  # fmt: skip
    parser.add_argument(
        "--batch-frames", type=int, default=5, help="frames that share an F threshold (5)"
    )
    parser.add_argument(
        "--truth-frames-only", action="store_true", help="run no frame that has no truth (quicker)"
    )
    add_workers(parser)
    live = parser.add_argument_group("live", "the same bags through the real node, over DDS")
    live.add_argument(
        "--live", action="store_true", help="also play them live: what do drops and delays cost?"
    )
    live.add_argument("--live-only", action="store_true", help="only live")
    live.add_argument("--rate", type=float, default=1.0, metavar="R", help="playing speed (1)")
    live.add_argument(
        "--probability", action="store_true",
        help="record probability maps, for M_F; costs the node time",
    )
    live.add_argument("--domain", type=int, metavar="N", help="DDS domain (default: a free one)")


def run(
    args: argparse.Namespace, node_code: str = "", load: Callable[..., Segmenter] | None = None
) -> int:
    """Evaluate; print the table; write ``metrics.json``, frames and ``report.html``.

    ``node_code``: Python that runs the live node, ``load``: see ``parallel.Job`` (tests choose
    the model with them).
    """
    from avs_ros.evaluation.label_sets import read_label_sets
    from avs_ros.evaluation.truth import bag_names, bags_in, check_bag

    check_workers(args)
    if args.batch_frames < 1:
        raise ParameterError(f"--batch-frames is {args.batch_frames}; it must be at least 1")
    if not 0.01 <= args.rate <= 100:
        raise ParameterError(f"--rate is {args.rate:g}; must be from 0.01 to 100")
    paths = [bag for given in args.bags for bag in bags_in(given)]
    names = read_label_sets(args.labels) if args.labels else None
    bags = dict(zip(bag_names(paths), paths, strict=True))
    for path in paths:
        for message in check_bag(path, _bag_options(args), args.truth):
            print(f"note: {path.name}: {message}")
    outcome = Outcome(args.model, len(bags))
    if not args.live_only:
        _deterministic(args, bags, outcome, names, load)
    if args.live or args.live_only:
        _live(args, bags, outcome, names, node_code)
    outcome.show()
    for path in outcome.write(args.output):
        print(f"  {path}")
    return 0


def _bag_options(args: argparse.Namespace) -> BagOptions:
    from avs_ros.media.bag import BagOptions

    return BagOptions(args.image, args.audio, audio_format=audio_format(args))


def _deterministic(
    args: argparse.Namespace, bags: dict[str, Path], outcome: Outcome, names: LabelSets | None,
    load: Callable[..., Segmenter] | None,
) -> None:
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation.replay import Job, ReplayOptions, run_jobs
    from avs_ros.evaluation.score_sheet import ScoreSheet

    options = ReplayOptions(
        _bag_options(args), args.truth, every_frame=not args.truth_frames_only, names=names,
    )  # fmt: skip
    engine = args.engine or REFERENCE_ENGINE
    jobs = [
        Job(
            str(path), args.model, engine, args.device, options, args.batch_frames, args.threads,
            name, load,
        )
        for name, path in bags.items()
    ]  # fmt: skip
    outcome.sheet = ScoreSheet(args.batch_frames, names)
    done = run_jobs(jobs, args.jobs, args.ray)
    tracked = track(done, "replaying", len(jobs), console=Console(stderr=True))
    for name, one in zip(bags, tracked, strict=True):
        outcome.sheet.extend(one.sheet)
        outcome.worst += one.worst
        outcome.engine = one.engine
        outcome.bags[name] = one.sheet.result() if one.sheet.frames else None


def _live(
    args: argparse.Namespace, bags: dict[str, Path], outcome: Outcome, names: LabelSets | None,
    node_code: str,
) -> None:
    from avs_ros.cli.live_replay import replay_live
    from avs_ros.cli.recorded_play import SEGMENTATION_NODE

    outcome.live_engine = args.engine or "auto"
    outcome.live = replay_live(args, bags, names, node_code or SEGMENTATION_NODE)
    outcome.rate, outcome.probability = args.rate, args.probability
