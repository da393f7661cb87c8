"""``avs train NETWORK``: ``c3n`` or ``avsc`` on AVSBench.

One process: ``avs train c3n --config FILE --data DIR -o DIR``.  Several:
``torchrun --nproc-per-node 4 -m avs_ros.cli train c3n …``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    from avs_ros.training import distributed
    from avs_ros.training.config import parse_overrides

    train = {"c3n": _c3n, "avsc": _avsc}[args.network](args, parse_overrides(args.set))
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "state.pt").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    device = distributed.start(args.device)
    first = distributed.is_first()
    try:
        best = train(device)
    finally:
        distributed.finish()
    if first:
        print(f"best M_J on val: {best:.4f}")
        print(f"network: {args.output / 'best.safetensors'}")
    return 0


Train = Callable[[Any], float]


def _c3n(args: argparse.Namespace, overrides: Mapping[str, str]) -> Train:
    from avs_ros.evaluation.avsbench import read_clips
    from avs_ros.training import distributed
    from avs_ros.training.config import load_config
    from avs_ros.training.data import heard_once
    from avs_ros.training.report import RunReporter
    from avs_ros.training.trainer import Trainer, audio_net, save_network, training_network

    config = load_config(args.config, dict(overrides))
    clips = {split: read_clips(args.data, config.subset, split) for split in ("train", "val")}

    def train(device: Any) -> float:
        audio_encoder = audio_net(config)
        network = training_network(config, audio_encoder.feature_width)
        with RunReporter(args.output, config, show=distributed.is_first()) as reporter:
            audio = heard_once(args.output, audio_encoder.to(device), clips, reporter)
            trainer = Trainer(
                config, network, clips, audio, args.output, reporter, save_network(config), device
            )
            return trainer.run(continue_run=args.resume)

    return train


def _avsc(args: argparse.Namespace, overrides: Mapping[str, str]) -> Train:
    from avs_ros.training import distributed
    from avs_ros.training.avsc import BenchSettings, train_bench
    from avs_ros.training.config import load_settings
    from avs_ros.training.report import RunReporter

    settings = load_settings(BenchSettings, args.config, dict(overrides))

    def train(device: Any) -> float:
        with RunReporter(args.output, settings, show=distributed.is_first()) as reporter:
            return train_bench(
                settings, args.data, args.output, reporter, device, resume=args.resume
            )

    return train
