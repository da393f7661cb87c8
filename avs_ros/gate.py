"""What counts as sounding: one configuration, with the same names in ROS, CLI and Python.

Models own their calibration: they score on a scale on which 0.5 is the point where their weight
file accepts.  This is the policy on top of it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
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


GATE_OPTIONS = (
    GateOption("silence_dbfs", SILENCE_DBFS, -120.0, 0.0,
               "Sound below this level is silence: nothing is marked"),
    GateOption("sounding_threshold", 0.5, 0.0, 1.0,
               "Score from which a category sounds; 0.5 is the model's calibration, lower marks "
               "more, 1 marks nothing"),
    GateOption("companion_threshold", 0.5, 0.0, 1.0,
               "The same for what sounds beside the first category; 1 marks one at a time"),
    GateOption("hold", None, 0.0, 20.0,
               "Log-odds by which the score of what sounded in the frame before may fall below "
               "its threshold, so that marks do not flicker"),
    GateOption("release", None, 0.0, 1.0,
               "s; marks end when this last part of the sound is silent against its loudest "
               "moment; 0 waits until the whole window is silent"),
    GateOption("context", None, 0.0, 30.0,
               "s of past sound, at most, that decides what is heard; 0 is the window alone"),
    GateOption("audio_period", None, 0.0, 10.0,
               "s between two runs of the audio encoder; frames between share its scores; 0 hears "
               "each frame's own sound"),
)  # fmt: skip
_BY_NAME = {option.name: option for option in GATE_OPTIONS}


@dataclass(frozen=True)
class GateConfig:
    """What counts as sounding; None takes what the model's weight file says.

    ``silence_dbfs``: level of sound (dBFS) below which nothing is marked.
    ``sounding_threshold``: score, 0..1, from which a category sounds; 0.5 is the model's own
    calibration, at 1 nothing sounds.  ``category_thresholds``: the same for single categories
    (a mapping; kept as pairs).  ``companion_threshold``: the same for what sounds beside the
    first category; at 1 one sounds at a time.  ``hold``: log-odds by which the score of what
    sounded in the frame before may fall below its threshold, 0..20.  ``release``: marks end when
    the window's last so many seconds are silent against its loudest moment, 0..1; 0 waits until
    the whole window is.  ``context``: seconds of past sound, at most, that decide what is heard,
    0..30.  ``audio_period``: seconds between two runs of the audio encoder, 0..10; 0: at each
    frame.

    Raises :class:`ParameterError` for a value out of its range (see :data:`GATE_OPTIONS`).
    """

    silence_dbfs: float = SILENCE_DBFS
    sounding_threshold: float = 0.5
    companion_threshold: float = 0.5
    hold: float | None = None
    release: float | None = None
    context: float | None = None
    audio_period: float | None = None
    category_thresholds: Mapping[str, float] | tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Check, and keep the categories' thresholds as pairs (hashable, unchangeable)."""
        for option in GATE_OPTIONS:
            option.check(getattr(self, option.name))
        pairs = tuple(sorted(dict(self.category_thresholds).items()))
        for name, value in pairs:
            replace(_BY_NAME["sounding_threshold"], name=f"category_thresholds[{name}]").check(
                value
            )
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
        own = {name.strip().casefold(): value for name, value in self._pairs()}
        found = (own[name] for name in names_of(label) if name in own)
        return next(found, self.sounding_threshold)

    def changed(self) -> frozenset[str]:
        """Names of the options that are not at their defaults."""
        return frozenset(
            field.name for field in fields(self) if getattr(self, field.name) != field.default
        )

    def check_for(self, model: str, honoured: frozenset[str], categories: Sequence[str]) -> None:
        """Raise :class:`ParameterError` for what ``model`` cannot honour.

        ``honoured``: names of the options that it acts on; ``categories``: its names.
        """
        for name in sorted(self.changed() - honoured):
            raise ParameterError(
                f"model {model} has no {name}: leave it at its default, or take a model that has "
                f"it (this one has {', '.join(sorted(honoured))})"
            )
        known = {name for label in categories for name in names_of(label)}
        for name, _ in self._pairs():
            if name.strip().casefold() not in known:
                near = difflib.get_close_matches(name.casefold(), known, n=3)
                hint = f"; did you mean {', '.join(near)}?" if near else ""
                raise ParameterError(
                    f"category_thresholds names {name!r}, which model {model} does not know{hint}"
                )

    def values(self) -> dict[str, Any]:
        """Plain values, for reports and files."""
        return {**asdict(self), "category_thresholds": dict(self._pairs())}

    def _pairs(self) -> tuple[tuple[str, float], ...]:
        return tuple(dict(self.category_thresholds).items())


def names_of(label: str) -> tuple[str, ...]:
    """What a label answers to, as names are compared: "tabby, tabby cat" to either or both."""
    whole = label.strip().casefold()
    return whole, *(part.strip() for part in whole.split(","))


def apply_gate(segmenter: Any, gate: GateConfig) -> None:
    """Let ``segmenter`` go by ``gate`` from its next frame on; the stream goes on.

    A segmenter without a gate of its own is left to post-processing.  Raises
    :class:`ParameterError` for an option that would have no effect; then nothing changes.
    """
    honoured = getattr(segmenter, "gate_options", None)
    categories = getattr(segmenter, "categories", segmenter.labels)
    gate.check_for(segmenter.name, honoured or POSTPROCESSED, categories)
    if honoured is not None:
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
