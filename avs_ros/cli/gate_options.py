"""What counts as sounding, as options of a verb: the names of the node's parameters."""

from __future__ import annotations

import argparse

from avs_ros.gate import CATEGORY_THRESHOLDS, GATE_OPTIONS
from avs_ros.instances import MAX_INSTANCES
from avs_ros.postprocess import PostprocessConfig

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
