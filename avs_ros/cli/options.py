"""Options that several verbs share: models and how they compute, the gate, sound, bags."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avs_ros.conversions.audio import check_format
from avs_ros.errors import AudioFormatError, ParameterError
from avs_ros.gate import CATEGORY_THRESHOLDS, GATE_OPTIONS
from avs_ros.instances import MAX_INSTANCES
from avs_ros.postprocess import PostprocessConfig
from avs_ros.streaming.pcm import SAMPLE_FORMATS, AudioFormat

DEFAULT_MODEL = "c3n_light"
# Not "auto": which engine is the fastest may differ from machine to machine, and so would the
# last digits of the scores.
REFERENCE_ENGINE = "torch"


def add_models(
    parser: argparse.ArgumentParser, defaults: Sequence[str] = (DEFAULT_MODEL,)
) -> None:
    """``--model`` (several times), ``--engine`` and ``--device``, for numbers that come again."""
    parser.add_argument(
        "--model", action="append", metavar="NAME|FILE",
        help=f"default {' and '.join(defaults)}; give it several times to see models side by side",
    )  # fmt: skip
    parser.add_argument(
        "--engine", default=REFERENCE_ENGINE,
        help=f"default {REFERENCE_ENGINE}, the reference; auto takes the fastest of this machine",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")


def add_workers(parser: argparse.ArgumentParser, processes: bool = True) -> None:
    """``--threads``, and with ``processes`` also ``--jobs`` and ``--ray``."""
    if processes:
        parser.add_argument("--jobs", type=int, default=1, help="processes on this machine (1)")
        parser.add_argument("--ray", default="", metavar="ADDRESS", help="an existing Ray cluster")
    parser.add_argument(
        "--threads", type=int, default=1,
        help=f"computing threads{' of each process' if processes else ''} (1); another number "
        "may change last digits",
    )  # fmt: skip


def check_workers(args: argparse.Namespace) -> None:
    """Raise ParameterError for counts below 1."""
    for name in ("jobs", "threads"):
        if (count := getattr(args, name, 1)) < 1:
            raise ParameterError(f"--{name} is {count}; it must be at least 1")


def add_bag_topics(parser: Any, truth: str = "") -> None:
    """``--image``, ``--audio``, the options of sound, and ``--truth`` for a topic of ``truth``."""
    parser.add_argument("--image", default="", metavar="TOPIC", help="image topic")
    parser.add_argument("--audio", default="", metavar="TOPIC", help="sound topic")
    parser.add_argument(
        "--audio-rate", type=int, metavar="HZ",
        help="rate of sound messages that do not carry it, whatever AudioInfo says (16000)",
    )
    parser.add_argument("--audio-channels", type=int, metavar="N", help="their channels (1)")
    parser.add_argument(
        "--audio-format", metavar="NAME",
        help=f"their sample format: {', '.join(SAMPLE_FORMATS)} (S16LE)",
    )
    if truth:
        parser.add_argument("--truth", default="", metavar="TOPIC", help=f"topic of the {truth}")


def check_safetensors(output: Path) -> None:
    """Raise ParameterError for a file to write that has another suffix, or no folder."""
    if output.suffix != ".safetensors":
        raise ParameterError(f"weights and tables are .safetensors files, not {output.name!r}")
    if not output.absolute().parent.is_dir():
        raise ParameterError(f"folder {output.absolute().parent} does not exist")


def chosen_models(
    args: argparse.Namespace, defaults: Sequence[str] = (DEFAULT_MODEL,)
) -> list[str]:
    """The models in the order given.  Raises ParameterError for one that is named twice."""
    names: list[str] = args.model or list(defaults)
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"--model {name} is given twice; each model is asked once")
    return names


_PIXELS = (
    ("threshold", "probability from which a pixel is marked, 0..1"),
    ("hysteresis", "a pixel that was marked stays so until this much below --threshold, 0..1"),
    ("min-area", "smallest instance, share of the image, 0..1"),
    ("smoothing", "share of the past left after 0.1 s, 0 (off) to below 1"),
)


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Options of the gate and of post-processing; :func:`policy_of` reads them."""
    marks = parser.add_argument_group("what counts as sounding")
    for option in GATE_OPTIONS:
        default = "the model's own" if option.default is None else f"{option.default:g}"
        marks.add_argument(
            f"--{option.name.replace('_', '-')}", type=float, default=option.default, metavar="X",
            help=f"{_small(option.description)}, {option.minimum:g}..{option.maximum:g} "
            f"({default})",
        )
    marks.add_argument("--category-thresholds", nargs="+", action="extend", default=[],
                       metavar="NAME=X", help=_small(CATEGORY_THRESHOLDS).replace("`", ""))
    pixels = parser.add_argument_group("what is marked")
    defaults = PostprocessConfig()
    for name, meaning in _PIXELS:
        default = getattr(defaults, name.replace("-", "_"))
        pixels.add_argument(f"--{name}", type=float, default=default, metavar="X",
                            help=f"{meaning} (%(default)s)")
    pixels.add_argument("--max-instances", type=int, default=defaults.max_instances, metavar="N",
                        help=f"instances per frame, largest first, 1..{MAX_INSTANCES} "
                        "(%(default)s)")
    for word, meaning in (("keep", "mark only this label"), ("ignore", "never mark this label")):
        pixels.add_argument(f"--labels-{word}", f"--{word}", action="append", default=[],
                            metavar="LABEL", help=f"{meaning} (can be repeated)")


def policy_of(args: argparse.Namespace) -> PostprocessConfig:
    """The policy that the options ask for; raises :class:`ParameterError`."""
    return PostprocessConfig.of(vars(args))


def _small(description: str) -> str:
    return description[0].lower() + description[1:]


def audio_format(args: argparse.Namespace) -> AudioFormat | None:
    """What the options say; None where none was given.  Raises :class:`ParameterError`."""
    options = {
        "rate": args.audio_rate, "channels": args.audio_channels,
        "sample_format": args.audio_format,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return None
    form = AudioFormat(**given)
    try:
        return replace(form, sample_format=check_format(form))
    except AudioFormatError as error:
        raise ParameterError(
            f"--audio-rate, --audio-channels, --audio-format: {error}"
        ) from error
