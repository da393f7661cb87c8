"""``avs train c3n``: train the paper's network on AVSBench; ``avs train avsc``: the second one.

One process: ``avs train c3n --config FILE --data DIR -o DIR``.  Several:
``torchrun --nproc-per-node 4 -m avs_ros.cli train c3n …``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.cli import train_avsc
from avs_ros.errors import ParameterError

if TYPE_CHECKING:
    from avs_ros.models.c3n import C3N
    from avs_ros.training.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train``."""
    networks = parser.add_subparsers(dest="network", metavar="NETWORK", required=True)
    c3n = networks.add_parser("c3n", help="C3N on AVSBench S4 or MS3")
    c3n.add_argument("--config", type=Path, required=True, help="YAML, e.g. config/train/s4.yaml")
    c3n.add_argument("--data", type=Path, required=True, help="root of the AVSBench data set")
    c3n.add_argument("-o", "--output", type=Path, required=True, help="folder for the run's files")
    c3n.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    c3n.add_argument("--resume", action="store_true", help="continue a run that was interrupted")
    c3n.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    train_avsc.add_arguments(
        networks.add_parser("avsc", help="AVSC: small on photographs and sounds, or on AVSBench")
    )


def _overrides(pairs: Sequence[str]) -> dict[str, str]:
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"--set {pair}: write NAME=VALUE")
        out[name] = value
    return out


def run(args: argparse.Namespace) -> int:
    """Train; print where the best network is."""
    if args.network == "avsc":
        return train_avsc.run(args, _overrides(args.set))
    from avs_ros.training import distributed
    from avs_ros.training.config import load_config

    config = load_config(args.config, _overrides(args.set))
    device = distributed.start(args.device)
    try:
        return _train(args, config, device)
    finally:
        distributed.finish()


def _train(args: argparse.Namespace, config: TrainConfig, device: Any) -> int:
    from avs_ros.evaluation.avsbench import read_clips
    from avs_ros.training import distributed
    from avs_ros.training.audio_features import heard_once
    from avs_ros.training.build import audio_net, save_network, training_network
    from avs_ros.training.report import RunReporter
    from avs_ros.training.trainer import Trainer

    clips = {split: read_clips(args.data, config.subset, split) for split in ("train", "val")}
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "state.pt").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    hearing = audio_net(config)
    network: C3N = training_network(config, hearing.feature_width)
    with RunReporter(args.output, config, show=distributed.is_first()) as reporter:
        audio = heard_once(args.output, hearing.to(device), clips, reporter)
        trainer = Trainer(
            config, network, clips, audio, args.output, reporter, save_network(config), device
        )
        best = trainer.run(continue_run=args.resume)
    if distributed.is_first():
        print(f"best M_J on val: {best:.4f}")
        print(f"network: {args.output / 'best.safetensors'}")
    return 0
