"""Settings of a C3N training run: one dataclass, read from YAML, checked before use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from avs_ros.errors import ParameterError

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class TrainConfig:
    """What the paper's scripts fix, by name.

    ``schedule``: ``constant``, or ``linear`` = the authors' S4 one (``learning_rate`` falls to
    ``learning_rate_end`` over ``epochs - 5`` epochs, the first step taken before the first epoch).
    ``supervise``: ``first`` (S4: the first frame of each clip) or ``all`` annotated frames.
    ``bce_weight``: factor of BCE beside Dice (1.5 for BEATs on MS3, else 1).
    ``batch_clips``: clips per process and step; ``accumulate``: steps per weight update.
    ``amp``: mixed precision (bf16; fp16 on GPUs before Ampere).  ``checkpoint_every``: weight
    updates between two resume points.  ``similarity``, ``visual_weights``, ``audio_weights``,
    ``init_from``: files; "" = the package's own similarity, random weights, no initialisation.
    """

    subset: Literal["s4", "ms3"] = "s4"
    visual: str = "pvt_v2_b5"
    audio: str = "panns"
    channels: PositiveInt = 256
    image_size: int = 224
    similarity: str = ""
    visual_weights: str = ""
    audio_weights: str = ""
    init_from: str = ""
    epochs: PositiveInt = 20
    batch_clips: PositiveInt = 2
    accumulate: PositiveInt = 1
    learning_rate: FiniteFloat = 1e-4
    learning_rate_end: FiniteFloat = 1e-5
    schedule: Literal["constant", "linear"] = "constant"
    supervise: Literal["first", "all"] = "all"
    bce_weight: FiniteFloat = 1.0
    augment: bool = True
    amp: bool = False
    seed: int = 1234
    workers: NonNegativeInt = 2
    checkpoint_every: PositiveInt = 100

    def __post_init__(self) -> None:
        """Raise ParameterError for values that do not go together, or cannot be."""
        if self.image_size < 32 or self.image_size % 32:
            raise ParameterError(f"image_size is {self.image_size}; a multiple of 32 is needed")
        if not 0 < self.learning_rate_end <= self.learning_rate:
            raise ParameterError(
                f"learning_rate_end is {self.learning_rate_end}; it must be above 0 and at most "
                f"learning_rate ({self.learning_rate})"
            )

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of the 0-based ``epoch``."""
        if self.schedule == "constant":
            return self.learning_rate
        steps = max(self.epochs - 5, 1)
        left = 1.0 - min(epoch + 1, steps) / steps
        return self.learning_rate_end + (self.learning_rate - self.learning_rate_end) * left


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ParameterError(f"{path}: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path} must hold a mapping of setting: value")
    base = values.pop("base", None)
    return {**(_read(path.parent / base) if base else {}), **values}


def load_settings(
    kind: type[Settings], path: Path | str, overrides: dict[str, str] | None = None
) -> Settings:
    """A dataclass of settings from a YAML file (``base: other.yaml`` inherits from a neighbour).

    ``overrides``: name -> text.  An unknown setting, a wrong type or an unreadable file raises
    ParameterError.
    """
    values = {**_read(Path(path)), **(overrides or {})}
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ParameterError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ParameterError(
            f"{first['loc'][0]} is {first['input']!r}: {first['msg'].lower()}"
        ) from error


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """Setting -> text from the command line's NAME=VALUE; raises ParameterError without "="."""
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"--set {pair}: write NAME=VALUE")
        out[name] = value
    return out
