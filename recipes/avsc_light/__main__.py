"""``python -m recipes.avsc_light``: train ``avsc_light`` on photographs and recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from avs_ros.errors import AvsError, ParameterError
from avs_ros.training.config import load_settings, parse_overrides
from avs_ros.training.report import RunReporter
from recipes.avsc_light.light import train_light
from recipes.avsc_light.settings import AVSCLightSettings
from recipes.curves import draw_curves

CONFIG = Path(__file__).with_name("avsc_light.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; print where the network is."""
    parser = argparse.ArgumentParser(prog="python -m recipes.avsc_light", description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"YAML ({CONFIG.name})")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of photographs and recordings"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting"
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    args = parser.parse_args(arguments)
    try:
        _train(args)
    except AvsError as error:
        print(f"avsc_light: {error}", file=sys.stderr)
        return 2
    return 0


def _train(args: argparse.Namespace) -> None:
    settings = load_settings(AVSCLightSettings, args.config, parse_overrides(args.set))
    args.output.mkdir(parents=True, exist_ok=True)
    if (args.output / "segmenter.pt").is_file() and not args.resume:
        raise ParameterError(
            f"{args.output} already holds a run: continue it with --resume or use another folder"
        )
    with RunReporter(args.output, settings) as reporter:
        target = train_light(settings, args.data, args.output, reporter, resume=args.resume)
    print(f"network: {target} ({target.stat().st_size / 2**20:.1f} MiB)")
    curves = draw_curves(args.output / "log.jsonl", args.output / "curves.png", value="loss")
    if curves is not None:
        print(f"curves: {curves}")


if __name__ == "__main__":
    sys.exit(main())
