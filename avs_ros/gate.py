"""What counts as sounding: one configuration, with the same names in ROS, CLI and Python.

Models own their calibration: they score on a scale on which 0.5 is the point where their weight
file accepts.  This is the policy on top of it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ParameterError

SILENCE_DBFS = -60.0
# What a weight file may set, where it does not.
_UNSAID = {"hold": 0.0, "release": 0.5, "context": 3.0, "audio_period": 0.0}
# What post-processing decides by itself, for models that only score.
POSTPROCESSED = frozenset({"silence_dbfs", "sounding_threshold", "category_thresholds", "hold"})
# What a model that decides among categories by its own gate honours.
CATEGORY_OPTIONS = POSTPROCESSED | {"release", "context", "audio_period"}
CATEGORY_THRESHOLDS = (
    "A `sounding_threshold` of its own for a category, as name=value (`cat=0.4`)"
)


@dataclass(frozen=True)
class GateOption:
    """One number of the gate: its default (None: the model's own), range and meaning."""

    name: str
    default: float | None
    minimum: float
    maximum: float
    description: str

    def check(self, value: float | None) -> None:
        """Raise :class:`ParameterError` for a value out of range; None only where it may be."""
        if value is None and self.default is None:
            return
        low = -math.inf if self.name == "silence_dbfs" else self.minimum
        if not isinstance(value, int | float) or isinstance(value, bool) or not (
            low <= value <= self.maximum
        ):
            raise ParameterError(
                f"{self.name} is {value!r}; must be from {self.minimum:g} to {self.maximum:g}"
            )


def _option(default: float | None, minimum: float, maximum: float, description: str) -> Any:
    """A field of :class:`GateConfig` that becomes a :class:`GateOption`."""
    about = {"minimum": minimum, "maximum": maximum, "description": description}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class GateConfig:
    """What counts as sounding; None takes what the model's weight file says.

    ``category_thresholds``: a ``sounding_threshold`` for single categories (a mapping; kept as
    pairs).

    Raises :class:`ParameterError` for a value out of its range.
    """

    silence_dbfs: float = _option(
        SILENCE_DBFS, -120.0, 0.0, "Sound below this level is silence: nothing is marked"
    )
    sounding_threshold: float = _option(
        0.5, 0.0, 1.0,
        "Score from which a category sounds; 0.5 is the model's calibration, lower marks more, 1 "
        "marks nothing",
    )
    companion_threshold: float = _option(
        0.5, 0.0, 1.0,
        "The same for what sounds beside the first category; 1 marks one at a time",
    )
    hold: float | None = _option(
        None, 0.0, 20.0,
        "Log-odds by which the score of what sounded in the frame before may fall below its "
        "threshold, so that marks do not flicker",
    )
    release: float | None = _option(
        None, 0.0, 1.0,
        "s; marks end when this last part of the sound is silent against its loudest moment; 0 "
        "waits until the whole window is silent",
    )
    context: float | None = _option(
        None, 0.0, 30.0,
        "s of past sound, at most, that decides what is heard; 0 is the window alone",
    )
    audio_period: float | None = _option(
        None, 0.0, 10.0,
        "s between two runs of the audio encoder; frames between share its scores; 0 hears each "
        "frame's own sound",
    )
    moving_share: float = _option(
        0.2, 0.0, 1.0,
        "Of several things of one name, one that moves less than this share of the one that moves "
        "most is taken to be silent; 0 marks them all",
    )
    category_thresholds: Mapping[str, float] | tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Check, and keep the categories' thresholds as pairs (hashable, unchangeable)."""
        for option in GATE_OPTIONS:
            option.check(getattr(self, option.name))
        pairs = tuple(sorted(dict(self.category_thresholds).items()))
        for name, value in pairs:
            GateOption(f"category_thresholds[{name}]", 0.5, 0.0, 1.0, "").check(value)
        object.__setattr__(self, "category_thresholds", pairs)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> GateConfig:
        """From node parameters or command-line arguments; other names are passed over.

        A negative number where None is possible stands for None (ROS 2 has no such value);
        ``category_thresholds``: texts ``name=value``, empty ones are ignored.
        """
        given: dict[str, Any] = {}
        for option in GATE_OPTIONS:
            value = values.get(option.name, option.default)
            own = option.default is None and value is not None and value < 0
            given[option.name] = None if own else value
        return cls(**given, category_thresholds=_pairs(values.get("category_thresholds") or ()))

    def settled(self, calibration: Mapping[str, Any]) -> GateConfig:
        """The same with every None replaced by the weight file's value, else by the default."""
        own = {
            name: float(calibration.get(name, unsaid))
            for name, unsaid in _UNSAID.items() if getattr(self, name) is None
        }
        return replace(self, **own)  # type: ignore[arg-type]

    def threshold_of(self, label: str) -> float:
        """Score from which ``label`` sounds; "tabby, tabby cat" answers to either name."""
        own = {name.strip().casefold(): v for name, v in dict(self.category_thresholds).items()}
        found = (own[name] for name in names_of(label) if name in own)
        return next(found, self.sounding_threshold)

    def changed(self) -> frozenset[str]:
        """Names of the options that are not at their defaults."""
        return frozenset(
            one.name for one in fields(self) if getattr(self, one.name) != one.default
        )

    def values(self) -> dict[str, Any]:
        """Plain values, for reports and files."""
        return {**asdict(self), "category_thresholds": dict(self.category_thresholds)}


GATE_OPTIONS = tuple(
    GateOption(one.name, getattr(GateConfig, one.name), **one.metadata)
    for one in fields(GateConfig)
    if one.metadata
)


def names_of(label: str) -> tuple[str, ...]:
    """What a label answers to, as names are compared: "tabby, tabby cat" to either or both."""
    whole = label.strip().casefold()
    return whole, *(part.strip() for part in whole.split(","))


def apply_gate(segmenter: Any, gate: GateConfig) -> None:
    """Let ``segmenter`` go by ``gate`` from its next frame on; the stream goes on.

    A segmenter without a gate of its own is left to post-processing.  Raises
    :class:`ParameterError` for an option that would have no effect; then nothing changes.
    """
    own: frozenset[str] | None = getattr(segmenter, "gate_options", None)
    honoured, model = own or POSTPROCESSED, segmenter.name
    for name in sorted(gate.changed() - honoured):
        raise ParameterError(
            f"model {model} has no {name}: leave it at its default, or take a model that has "
            f"it (this one has {', '.join(sorted(honoured))})"
        )
    categories = getattr(segmenter, "categories", segmenter.labels)
    known = {name for label in categories for name in names_of(label)}
    for name in dict(gate.category_thresholds):
        if name.strip().casefold() not in known:
            near = difflib.get_close_matches(name.casefold(), known, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ParameterError(
                f"category_thresholds names {name!r}, which model {model} does not know{hint}"
            )
    if own is not None:
        segmenter.gate = gate


def gate_in_force(segmenter: Any, gate: GateConfig) -> dict[str, tuple[Any, str]]:
    """Option of ``segmenter`` -> its value under ``gate``, and where that is from.

    From the "parameter", the "weight file" (what it says, or what its calibrated thresholds make
    of 0.5), or the "default".  Options that the model does not have are left out.
    """
    calibration: Mapping[str, Any] = getattr(segmenter, "calibration", {})
    honoured = getattr(segmenter, "gate_options", None) or POSTPROCESSED
    changed, settled = gate.changed(), gate.settled(calibration).values()
    said = {*calibration, *(["sounding_threshold"] if calibration else [])}
    return {
        name: (
            value,
            "parameter" if name in changed else "weight file" if name in said else "default",
        )
        for name, value in settled.items() if name in honoured
    }


def in_words(value: Any) -> str:
    """A value of :func:`gate_in_force` as people write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={one:g}" for name, one in value.items()) or "none"
    return f"{value:g}"


def lowered(probability: Any, log_odds: float) -> NDArray[np.floating]:
    """Probabilities whose log-odds are ``log_odds`` less; what nothing reaches (1) stays so."""
    own = np.asarray(probability)
    less = own * np.exp(-log_odds)
    lower = less / np.maximum(1.0 - own + less, 1e-6)
    return np.asarray(np.where(own < 1, lower, own), own.dtype)


def _pairs(given: Iterable[str]) -> dict[str, float]:
    """``name=value`` texts -> thresholds.  Raises :class:`ParameterError` for other texts."""
    found: dict[str, float] = {}
    for text in given:
        if not text:
            continue
        name, equals, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise ParameterError(
                f"category_thresholds has {text!r}; write name=value, for example cat=0.4"
            )
    return found
