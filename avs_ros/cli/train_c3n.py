"""``avs train c3n``: train the paper's network on AVSBench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avs_ros.errors import ParameterError

if TYPE_CHECKING:
    from avs_ros.models.c3n import C3N
    from avs_ros.training.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train c3n``."""
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML, e.g. config/train/s4.yaml"
    )
    parser.add_argument("--data", type=Path, required=True, help="root of the AVSBench data set")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the run's files"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")


def run(args: argparse.Namespace, overrides: Mapping[str, str]) -> int:
    """Train; print where the best network is."""
    from avs_ros.training import distributed
    from avs_ros.training.config import load_config

    config = load_config(args.config, dict(overrides))
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
