"""``python -m recipes.c3n_light VERB``: train the bundled model, try its parts, set its gate.

What it is worth say ``avs evaluate composite`` and ``avs evaluate clips``; ``composite`` here is
the former, with baselines made of the data folder's networks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeVar

import torch

from avs_ros.cli import evaluate_composite
from avs_ros.cli.options import check_workers
from avs_ros.errors import AvsError, ParameterError
from avs_ros.evaluation.replay import use_threads
from avs_ros.inference import Segmenter, create_segmenter
from avs_ros.inference.light import BUNDLED
from avs_ros.training.config import load_settings, parse_overrides
from avs_ros.training.report import RunReporter
from recipes.c3n_light import train
from recipes.c3n_light.ablation import run_ablation
from recipes.c3n_light.baselines import BASELINES, create_baseline
from recipes.c3n_light.box_choice import fit_box_choice
from recipes.c3n_light.detect import DetectSettings, run_detect
from recipes.c3n_light.gate_fit import GateSettings, run_gate
from recipes.c3n_light.instruments import evaluate_instruments
from recipes.c3n_light.mask_training import MaskSettings, run_masks
from recipes.c3n_light.recipe import gather
from recipes.c3n_light.settings import C3NLightSettings
from recipes.c3n_light.thresholds import set_thresholds

S = TypeVar("S", GateSettings, DetectSettings, MaskSettings)

PROGRAM = "python -m recipes.c3n_light"
TRAIN, DETECT, ABLATE, THRESHOLDS, COMPOSITE, INSTRUMENTS, BOXES, MASKS, GATE = VERBS = (
    "train", "detect", "ablate", "thresholds", "composite", "instruments", "boxes", "masks",
    "gate",
)  # fmt: skip
TRUNK = Path(__file__).with_name("light_trunk.yaml")


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """One of :data:`VERBS`."""
    given = sys.argv[1:] if arguments is None else arguments
    verb = given[0] if given else ""
    verbs = ", ".join(VERBS)
    try:
        if verb == TRAIN:
            parser = argparse.ArgumentParser(prog=f"{PROGRAM} {TRAIN}", description=train.__doc__)
            train.add_arguments(parser)
            train.run(parser.parse_args(given[1:]))
        elif verb == DETECT:
            _detect(given[1:])
        elif verb == ABLATE:
            _ablate(given[1:])
        elif verb == THRESHOLDS:
            _thresholds(given[1:])
        elif verb == COMPOSITE:
            _composite(given[1:])
        elif verb == INSTRUMENTS:
            _instruments(given[1:])
        elif verb == BOXES:
            _boxes(given[1:])
        elif verb == MASKS:
            _masks(given[1:])
        elif verb == GATE:
            _gate(given[1:])
        elif verb in ("-h", "--help"):
            say(f"{__doc__}\nverbs: {verbs}; each has --help")
        else:
            raise ParameterError(f"verb {verb!r} is unknown; choose {verbs}")
    except AvsError as error:
        print(f"c3n_light: {error}", file=sys.stderr)
        return 2
    return 0


def _ablate(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {ABLATE}",
        description="Short runs from one state, each with one part changed.",
    )
    parser.add_argument("--config", type=Path, default=TRUNK, help=f"YAML ({TRUNK.name})")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("light_training"), help="caches")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args(arguments)
    settings = load_settings(C3NLightSettings, args.config, parse_overrides(args.set))
    if settings.threads:
        torch.set_num_threads(settings.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    with RunReporter(args.output, settings) as reporter:
        gather(settings, args.data, args.work, reporter.say)
        run_ablation(settings, args.data, args.work, args.output, reporter)
    say((args.output / "ablation.md").read_text(encoding="utf-8"))


def _detect(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {DETECT}",
        description="Detector, masks, audio networks and gate on a light file's C3N: what ships.",
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    args, settings = _settings(parser, arguments, DetectSettings, "detect.yaml")
    _begin(args, settings.threads)
    with RunReporter(args.output, settings) as reporter:
        target = run_detect(settings, args.data, args.output, reporter)
    say(f"network: {target} ({target.stat().st_size / 2**20:.1f} MiB)")


def _begin(args: argparse.Namespace, threads: int) -> None:
    """Set the threads; a run that is there already is only gone on with where that is said."""
    if threads:
        torch.set_num_threads(threads)
    if (args.output / "log.jsonl").is_file() and not args.resume:
        raise ParameterError(f"{args.output} already holds a run: continue it with --resume")


def _masks(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {MASKS}",
        description="A new mask head for the detector of a file; everything else stays.",
    )
    parser.add_argument("--resume", action="store_true", help="continue a run")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="light C3N file (bundled)")
    args, settings = _settings(parser, arguments, MaskSettings, "masks.yaml")
    _begin(args, settings.threads)
    with RunReporter(args.output, settings) as reporter:
        target = run_masks(args.model, settings, args.data, args.output, reporter)
    say(f"network: {target}")


def _gate(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {GATE}",
        description="The present tables of sounds and a gate for them, on a file's networks.",
    )
    parser.add_argument("--model", type=Path, default=BUNDLED, help="light C3N file (bundled)")
    args, settings = _settings(parser, arguments, GateSettings, "gate.yaml")
    with RunReporter(args.output, settings) as reporter:
        target = run_gate(args.model, settings, args.data, args.output, reporter)
    say(f"network: {target}")


def _settings(
    parser: argparse.ArgumentParser, arguments: list[str], kind: type[S], config: str
) -> tuple[argparse.Namespace, S]:
    """What a stage is told; makes the output folder."""
    file = Path(__file__).with_name(config)
    parser.add_argument("--config", type=Path, default=file, help=f"YAML ({file.name})")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the run")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args(arguments)
    settings = load_settings(kind, args.config, parse_overrides(args.set))
    args.output.mkdir(parents=True, exist_ok=True)
    return args, settings


def _thresholds(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {THRESHOLDS}", description="Choose the gate's thresholds on composites."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of images and sounds")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="light C3N file (bundled)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    parser.add_argument("--limit", type=int, default=0, help="most cases of each kind (all)")
    args = parser.parse_args(arguments)
    set_thresholds(args.data, args.model, args.output, say, args.limit)


def _composite(arguments: list[str]) -> None:
    told = "; ".join(f"{name}: {what}" for name, what in BASELINES.items())
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {COMPOSITE}", description=f"`avs evaluate composite`, also of {told}."
    )
    evaluate_composite.add_arguments(parser)
    args = parser.parse_args(arguments)
    check_workers(args)
    use_threads(args.threads)

    def load(model: str, engine: str, device: str) -> Segmenter:
        if model in BASELINES:
            return create_baseline(model, args.data, engine, device)
        return create_segmenter(model, engine, device)

    evaluate_composite.run(args, load)


def _instruments(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {INSTRUMENTS}",
        description="Mean IoU on held-out photographs of instruments with their sounds.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of images and sounds")
    parser.add_argument("--model", default="c3n_light", help="name or file (c3n_light)")
    parser.add_argument("--engine", default="auto", help="as in avs run (auto)")
    parser.add_argument("--soundfont", type=Path, help="renders what the folder has no notes of")
    args = parser.parse_args(arguments)
    model = create_segmenter(args.model, args.engine)
    try:
        scores = evaluate_instruments(model, args.data, args.soundfont, say)
    finally:
        model.close()
    mean = sum(score for score, _ in scores.values()) / len(scores)
    say(f"{'mean':12} {mean:.3f} of {len(scores)} instruments")


def _boxes(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {BOXES}",
        description="Fit which box a category has that only the class head's cells show.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="light C3N file (bundled)")
    args = parser.parse_args(arguments)
    fit_box_choice(args.data, args.model, say)


if __name__ == "__main__":
    sys.exit(main())
