"""``avs train avsc``: train AVSC, small on photographs and recordings or full on AVSBench."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from avs_ros.errors import ParameterError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``avs train avsc``."""
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML, e.g. config/train/avsc_light.yaml"
    )
    parser.add_argument(
        "--data", type=Path, required=True,
        help="folder of photographs and recordings (recipe light) or root of AVSBench",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda (default: auto; recipe light: the CPU)"
    )


def run(args: argparse.Namespace, overrides: Mapping[str, str]) -> int:
    """Train by the recipe that the configuration names; print where the network is."""
    from avs_ros.training.config import recipe_of

    recipe = overrides.get("recipe") or recipe_of(args.config)
    args.output.mkdir(parents=True, exist_ok=True)
    if recipe == "light":
        return _light(args, dict(overrides))
    if recipe == "avsbench":
        return _avsbench(args, dict(overrides))
    raise ParameterError(f"{args.config}: recipe is {recipe!r}; choose light or avsbench")


def _refuse_overwriting(args: argparse.Namespace, state: str) -> None:
    if (args.output / state).is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )


def _light(args: argparse.Namespace, overrides: dict[str, str]) -> int:
    from avs_ros.training.avsc.light import train_light
    from avs_ros.training.avsc.settings import LightSettings
    from avs_ros.training.config import load_settings
    from avs_ros.training.curves import draw_curves
    from avs_ros.training.report import RunReporter

    settings = load_settings(LightSettings, args.config, overrides)
    _refuse_overwriting(args, "segmenter.pt")
    with RunReporter(args.output, settings) as reporter:
        target = train_light(settings, args.data, args.output, reporter, resume=args.resume)
    print(f"network: {target} ({target.stat().st_size / 2**20:.1f} MiB)")
    curves = draw_curves(args.output / "log.jsonl", args.output / "curves.png", value="loss")
    if curves is not None:
        print(f"curves: {curves}")
    return 0


def _avsbench(args: argparse.Namespace, overrides: dict[str, str]) -> int:
    from avs_ros.training import distributed
    from avs_ros.training.avsc.bench import train_bench
    from avs_ros.training.avsc.settings import BenchSettings
    from avs_ros.training.config import load_settings
    from avs_ros.training.report import RunReporter

    settings = load_settings(BenchSettings, args.config, overrides)
    _refuse_overwriting(args, "state.pt")
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
