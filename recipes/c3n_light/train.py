"""``python -m recipes.c3n_light train``: the bundled model, or its trunk with parts changed."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from avs_ros.errors import ParameterError
from avs_ros.inference.engines import choose_device
from avs_ros.training.config import load_settings, parse_overrides
from avs_ros.training.report import RunReporter
from recipes.c3n_light.ablation import train_trunk
from recipes.c3n_light.recipe import gather, train_whole
from recipes.c3n_light.settings import C3NLightSettings
from recipes.curves import draw_curves

CONFIG = Path(__file__).with_name("light.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``train``."""
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"YAML ({CONFIG.name})")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of photographs, recordings and teachers"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
    parser.add_argument(
        "--work", type=Path, help="folder of the decoded data, about 0.8 GB (OUTPUT/cache)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")


def run(args: argparse.Namespace) -> None:
    """Train what the settings name; print where it is."""
    settings = load_settings(C3NLightSettings, args.config, parse_overrides(args.set))
    if not args.data.is_dir():
        raise ParameterError(f"--data {args.data} is no folder")
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "log.jsonl").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    with RunReporter(args.output, settings) as reporter:
        lines = _train(args, settings, reporter)
    for line in lines:
        print(line)


def _train(
    args: argparse.Namespace, settings: C3NLightSettings, reporter: RunReporter
) -> list[str]:
    if settings.threads:
        torch.set_num_threads(settings.threads)
    work, device = args.work or args.output / "cache", choose_device(args.device)
    gather(settings, args.data, work, reporter.say)
    if settings.part == "trunk":
        lines = train_trunk(settings, args.data, work, args.output, reporter)
    else:
        target = train_whole(settings, args.data, work, args.output, reporter, device=device)
        lines = [f"network: {target} ({target.stat().st_size / 2**20:.1f} MiB)"]
    curves = draw_curves(args.output / "log.jsonl", args.output / "curves.png")
    return [*lines, f"curves: {curves}"] if curves else lines
