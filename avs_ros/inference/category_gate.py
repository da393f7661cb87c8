"""A model's calibrated scores and the gate's policy -> which categories sound in a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.gate import GateConfig, lowered
from avs_ros.inference.loudness import Ending
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE, level_dbfs

Bools = NDArray[np.bool_]
# Less is as good as impossible: marked at no threshold.
_LEAST = 1e-3
_NEVER = 2.0
# A threshold that nothing reaches.
ALONE = 1.01
WINDOW_NS = 1_000_000_000


class CategoryGate:
    """Which of K categories sound, frame by frame, for one stream.

    ``calibration``: what the weight file says of the gate's options; ``calibrated``: its
    threshold of each category, ``[K]``, where that does not follow from it.  ``config`` may be
    replaced at any time and takes effect at the next :meth:`listen`.
    """

    def __init__(
        self,
        categories: Sequence[str],
        calibration: Mapping[str, Any],
        calibrated: Float | None = None,
    ) -> None:
        if calibrated is None:
            common, own = calibration.get("threshold", 0.5), calibration.get("thresholds", {})
            calibrated = np.array([own.get(name, common) for name in categories], np.float32)
        self._categories = tuple(categories)
        self._calibrated, self._calibration = calibrated, calibration
        beside = calibration.get("companion_threshold", ALONE)
        self._beside = np.full(len(categories), beside, np.float32)
        self._groups = confusable_indices(categories, calibration.get("confusable_groups", ()))
        self._ending = Ending(0)
        self.config = GateConfig()
        self._used: GateConfig | None = None
        self._use()
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._ending.reset()
        self._sounded = np.zeros(len(self._categories), bool)
        self._last_ns: int | None = None
        self.silent = self.ended = self.goes_on = False

    def listen(self, stamp_ns: int, window: Float) -> GateConfig:
        """Judge the window that ends at ``stamp_ns``; returns the options in force.

        Sets ``silent``, ``ended`` (its last part is silent against its loudest moment) and
        ``goes_on`` (a part of it was in an earlier frame's window: then a mark may be held).
        """
        self._use()
        last, self._last_ns = self._last_ns, stamp_ns
        self.goes_on = last is not None and 0 <= stamp_ns - last < WINDOW_NS
        self.silent = level_dbfs(window) < self.settled.silence_dbfs
        self.ended = self._ending(stamp_ns, window)
        return self.settled

    def pooled(self, probability: Float) -> Float:
        """Probabilities ``[K]``, see :func:`pool_confusable`; 0 in silence, and at a sound's end
        that an earlier frame has heard.
        """
        gate = pool_confusable(probability, self._groups)
        if self.silent or (self.goes_on and self.ended):
            gate = np.zeros_like(gate)
        return gate

    def without_confusable(self, score: Float, chosen: Bools) -> Float:
        """See :func:`without_confusable`."""
        return without_confusable(score, chosen, self._groups)

    def scaled(self, probability: Float) -> Float:
        """Probabilities ``[K]`` as scores: where the weight file accepts (or holds) reads 0.5."""
        return scaled(probability, self._held(self._calibrated))

    def scaled_beside(self, probability: Float) -> Float:
        """The same beside an accepted category."""
        return scaled(probability, self._held(self._beside))

    def beside(self, probability: Float) -> Float:
        """Probabilities ``[K]`` as those that read the same beside an accepted category."""
        return np.asarray(unscaled(self.scaled(probability), self._held(self._beside)))

    def required(self) -> Float:
        """Probabilities ``[K]`` from which the categories sound."""
        return self._required(self._wanted, self._calibrated)

    def required_beside(self) -> Float:
        """The same beside an accepted category."""
        return self._required(np.float32(self.settled.companion_threshold), self._beside)

    def remember(self, sounding: Bools) -> None:
        """Note which categories ``[K]`` sound in this frame."""
        self._sounded = sounding

    def _use(self) -> None:
        config = self.config
        if config is self._used:
            return
        self.settled = config.settled(self._calibration)
        assert self.settled.release is not None
        self._ending.release = round(self.settled.release * SAMPLE_RATE)
        self._wanted = np.array(
            [config.threshold_of(name) for name in self._categories], np.float32
        )
        self._used = config

    def _held(self, threshold: Float) -> Float:
        """Thresholds ``[K]``, lower by ``hold`` for what sounded a frame ago."""
        on = self._sounded & self.goes_on
        if not self.settled.hold or not on.any():
            return threshold
        low = lowered(threshold, self.settled.hold)
        return np.asarray(np.where(on, low, threshold), threshold.dtype)

    def _required(self, wanted: Any, calibrated: Float) -> Float:
        """0 does not accept the impossible, and nothing reaches 1."""
        low = self._held(unscaled(np.maximum(wanted, _LEAST), calibrated))
        return np.asarray(np.where(wanted >= 1, _NEVER, low), np.float32)


def scaled(probability: Float, threshold: Float) -> Float:
    """Probabilities so that ``threshold`` reads 0.5, 0 reads 0 and 1 reads 1 (any shape)."""
    below = 0.5 * probability / threshold
    above = 0.5 + 0.5 * (probability - threshold) / np.maximum(1 - threshold, 1e-6)
    return np.asarray(np.where(probability < threshold, below, above))


def unscaled(score: Float, threshold: Float) -> Float:
    """The probabilities that :func:`scaled` reads as ``score``."""
    above = threshold + (2 * score - 1) * (1 - threshold)
    return np.asarray(np.where(score < 0.5, 2 * score * threshold, above))


def confusable_indices(
    categories: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    """Names -> places in ``categories``; names that are not there are passed over."""
    place = {name: k for k, name in enumerate(categories)}
    found = (tuple(place[name] for name in group if name in place) for group in groups)
    return tuple(group for group in found if len(group) > 1)


def pool_confusable(gate: Float, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` probabilities: the likeliest of each group gets that of *any* of them sounding.

    A motor is heard, and the image says whose it is: where a bus may as well be a truck, each gets
    half of what is certain of both together.
    """
    out = gate.copy()
    for group in groups:
        own = gate[list(group)]
        out[group[int(own.argmax())]] = 1.0 - np.prod(1.0 - own)
    return out


def without_confusable(score: Float, chosen: Bools, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` scores, 0 for what is ``chosen`` ``[K]`` or in one group with something that is.

    The motor that has been given to the bus is not heard a second time for the truck.
    """
    out = np.where(chosen, np.float32(0), score)
    for group in groups:
        if chosen[list(group)].any():
            out[list(group)] = 0.0
    return np.asarray(out, np.float32)
