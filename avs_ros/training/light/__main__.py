"""``python -m avs_ros.training.light``: judge the bundled model, and what its parts bring.

Training has one door: ``avs train light --config config/train/light.yaml --data DIR -o DIR``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from avs_ros.errors import AvsError, ParameterError
from avs_ros.training.light.evaluate import command as judging

ABLATE = "ablate"


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """``evaluate``, ``clips``, ``failures`` or ``ablate``."""
    given = sys.argv[1:] if arguments is None else arguments
    verb = given[0] if given else ""
    try:
        if verb in judging.VERBS:
            judging.run(given, say)
        elif verb == ABLATE:
            _ablate(given[1:])
        elif verb in ("-h", "--help"):
            say(f"{__doc__}\nverbs: {', '.join((*judging.VERBS, ABLATE))}; each has --help")
        else:
            raise ParameterError(
                f"verb {verb!r} is unknown; choose {', '.join((*judging.VERBS, ABLATE))}, "
                "or train with `avs train light`"
            )
    except AvsError as error:
        print(f"light: {error}", file=sys.stderr)
        return 2
    return 0


def _ablate(arguments: list[str]) -> None:
    from avs_ros.training.config import load_settings
    from avs_ros.training.light.ablation import run_ablation
    from avs_ros.training.light.course import gather
    from avs_ros.training.light.settings import LightSettings
    from avs_ros.training.report import RunReporter

    parser = argparse.ArgumentParser(
        prog="python -m avs_ros.training.light ablate",
        description="Short runs from one state, each with one part changed.",
    )
    parser.add_argument("--config", type=Path, required=True, help="config/train/light_trunk.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("light_training"), help="caches")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args(arguments)
    wrong = [pair for pair in args.set if "=" not in pair]
    if wrong:
        raise ParameterError(f"--set {wrong[0]}: write NAME=VALUE")
    overrides = dict(pair.split("=", 1) for pair in args.set)
    settings = load_settings(LightSettings, args.config, overrides)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    with RunReporter(args.output, settings) as reporter:
        gather(settings, args.data, args.work, reporter.say)
        run_ablation(settings, args.data, args.work, args.output, reporter)
    say((args.output / "ablation.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
