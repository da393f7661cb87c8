"""``avs evaluate bag``: replay bags that carry their truth, in process or live over DDS."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from avs_ros.cli.evaluation_outcome import Outcome
from avs_ros.errors import ParameterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs evaluate bag``."""
    parser.add_argument(
        "bags", type=Path, nargs="+", metavar="BAG", help="bags, or folders of them"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("evaluation"), metavar="DIR")
    parser.add_argument("--model", default="c3n_light", metavar="NAME|FILE")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--image", default="", metavar="TOPIC", help="picture topic")
    parser.add_argument("--audio", default="", metavar="TOPIC", help="sound topic")
    parser.add_argument("--truth", default="", metavar="TOPIC", help="topic of the true masks")
    parser.add_argument(
        "--batch-frames", type=int, default=5, help="frames that share an F threshold (5)"
    )
    parser.add_argument(
        "--truth-frames-only", action="store_true", help="run no frame that has no truth (quicker)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes on this machine (1)")
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="an existing Ray cluster")
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


def run(args: argparse.Namespace, node_code: str = "") -> int:
    """Evaluate; print the table; write ``metrics.json``, frames and ``report.html``.

    ``node_code``: Python that runs the live node (tests choose its model).
    """
    from avs_ros.evaluation.truth import bags_in

    if args.jobs < 1:
        raise ParameterError(f"--jobs is {args.jobs}; it must be at least 1")
    if not 0.01 <= args.rate <= 100:
        raise ParameterError(f"--rate is {args.rate:g}; must be from 0.01 to 100")
    paths = [bag for given in args.bags for bag in bags_in(given)]
    outcome = Outcome(args.model, args.engine, len(paths))
    if not args.live_only:
        _deterministic(args, paths, outcome)
    if args.live or args.live_only:
        _live(args, paths, outcome, node_code)
    outcome.show()
    for path in outcome.write(args.output):
        print(f"  {path}")
    return 0


def _deterministic(args: argparse.Namespace, paths: list[Path], outcome: Outcome) -> None:
    from rich.console import Console
    from rich.progress import track

    from avs_ros.evaluation.parallel import Job, run_jobs
    from avs_ros.evaluation.replay import ReplayOptions
    from avs_ros.evaluation.score_sheet import ScoreSheet
    from avs_ros.media.bag import BagOptions

    options = ReplayOptions(
        BagOptions(args.image, args.audio), args.truth, every_frame=not args.truth_frames_only
    )
    threads = max(1, (os.cpu_count() or 1) // args.jobs) if args.jobs > 1 else 0
    jobs = [
        Job(str(p), args.model, args.engine, args.device, options, args.batch_frames, threads)
        for p in paths
    ]
    outcome.sheet = ScoreSheet(args.batch_frames)
    done = run_jobs(jobs, args.jobs, args.ray)
    for one in track(done, "replaying", len(jobs), console=Console(stderr=True)):
        outcome.sheet.extend(one.sheet)
        outcome.worst += one.worst
        outcome.bags[one.path] = one.sheet.result() if one.sheet.frames else None


def _live(
    args: argparse.Namespace, paths: list[Path], outcome: Outcome, node_code: str
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from avs_ros.cli.live_replay import LiveOptions, replay_live
    from avs_ros.cli.recorded_play import SEGMENTATION_NODE

    options = LiveOptions(
        args.model, args.engine, args.device, args.rate, args.image, args.audio, args.truth,
        args.probability, args.batch_frames, args.domain,
    )
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("playing live", total=len(paths))
        code = node_code or SEGMENTATION_NODE
        outcome.live = replay_live(paths, options, code, lambda: progress.advance(task))
    outcome.rate, outcome.probability = args.rate, args.probability
