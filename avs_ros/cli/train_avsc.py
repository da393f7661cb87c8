"""``avs train avsc``: train AVSC on AVSBench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from avs_ros.errors import ParameterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train avsc``."""
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML, e.g. config/train/avsc_pvt.yaml"
    )
    parser.add_argument("--data", type=Path, required=True, help="root of AVSBench")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")


def run(args: argparse.Namespace, overrides: Mapping[str, str]) -> int:
    """Train; print where the network is."""
    from avs_ros.training import distributed
    from avs_ros.training.avsc.bench import train_bench
    from avs_ros.training.avsc.settings import BenchSettings
    from avs_ros.training.config import load_settings
    from avs_ros.training.report import RunReporter

    settings = load_settings(BenchSettings, args.config, dict(overrides))
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "state.pt").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    device = distributed.start(args.device)
    try:
        with RunReporter(args.output, settings, show=distributed.is_first()) as reporter:
            best = train_bench(
                settings, args.data, args.output, reporter, device, resume=args.resume
            )
    finally:
        distributed.finish()
    if distributed.is_first():
        print(f"best M_J on val: {best:.4f}")
        print(f"network: {args.output / 'best.safetensors'}")
    return 0
