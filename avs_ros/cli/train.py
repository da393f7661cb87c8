"""``avs train NETWORK``: ``c3n`` or ``avsc`` on AVSBench.

One process: ``avs train c3n --config FILE --data DIR -o DIR``.  Several:
``torchrun --nproc-per-node 4 -m avs_ros.cli train c3n …``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from avs_ros.errors import ParameterError

# Network -> (what `avs train --help` says of it, an example of a configuration).
NETWORKS = {
    "c3n": ("C3N on AVSBench S4 or MS3", "config/train/s4.yaml"),
    "avsc": ("AVSC on AVSBench S4 or MS3", "config/train/avsc_pvt.yaml"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train``."""
    networks = parser.add_subparsers(dest="network", metavar="NETWORK", required=True)
    for name, (line, example) in NETWORKS.items():
        one = networks.add_parser(name, help=line)
        one.add_argument("--config", type=Path, required=True, help=f"YAML, e.g. {example}")
        one.add_argument("--data", type=Path, required=True, help="root of AVSBench")
        one.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
        one.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
        )
        one.add_argument("--resume", action="store_true", help="continue a run")
        one.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")


def run(args: argparse.Namespace) -> int:
    """Train; print where the network is."""
    from avs_ros.evaluation.avsbench import read_clips
    from avs_ros.training import distributed
    from avs_ros.training.avsc import BenchSettings, train_bench
    from avs_ros.training.config import TrainConfig, load_settings, parse_overrides
    from avs_ros.training.report import RunReporter
    from avs_ros.training.trainer import train_c3n

    train: Callable[..., float] = train_bench if args.network == "avsc" else train_c3n
    kind = BenchSettings if args.network == "avsc" else TrainConfig
    settings = load_settings(kind, args.config, parse_overrides(args.set))
    clips = {split: read_clips(args.data, settings.subset, split) for split in ("train", "val")}
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "state.pt").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    device = distributed.start(args.device)
    first = distributed.is_first()
    try:
        with RunReporter(args.output, settings, show=first) as reporter:
            best = train(settings, clips, args.output, reporter, device, resume=args.resume)
    finally:
        distributed.finish()
    if first:
        print(f"best M_J on val: {best:.4f}")
        print(f"network: {args.output / 'best.safetensors'}")
    return 0
