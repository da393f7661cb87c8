"""A model's calibrated scores and the gate's policy -> which categories sound in a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.gate import GateConfig, lowered
from avs_ros.inference.loudness import Ending
from avs_ros.segmentation import Float
from avs_ros.sound import level_dbfs

Bools = NDArray[np.bool_]
# Less is as good as impossible: marked at no threshold.
_LEAST = 1e-3
_NEVER = 2.0
WINDOW_NS = 1_000_000_000


class CategoryGate:
    """Which of K categories sound, frame by frame, for one stream.

    ``calibrated``: the weight file's threshold of each category, ``[K]``; ``calibration``: what
    the file says of the gate's other options.  ``config`` may be replaced at any time and takes
    effect at the next :meth:`listen`.
    """

    def __init__(
        self, categories: Sequence[str], calibrated: Float, calibration: Mapping[str, Any],
        sample_rate: int,
    ) -> None:
        self._categories = tuple(categories)
        self._calibrated = calibrated
        self._calibration = calibration
        self._rate = sample_rate
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

    def scaled(self, probability: Float, calibrated: Float | None = None) -> Float:
        """Probabilities ``[K]`` as scores: where the weight file accepts (or holds) reads 0.5.

        ``calibrated``: thresholds ``[K]`` in place of the categories' own.
        """
        return scaled(probability, self._held(self._of(calibrated)))

    def required(self) -> Float:
        """Probabilities ``[K]`` from which the categories sound."""
        return self._required(self._wanted, self._calibrated)

    def required_beside(self, calibrated: Float) -> Float:
        """The same beside an accepted category, where the file's thresholds are ``calibrated``."""
        return self._required(np.float32(self.settled.companion_threshold), calibrated)

    def remember(self, sounding: Bools) -> None:
        """Note which categories ``[K]`` sound in this frame."""
        self._sounded = sounding

    def _use(self) -> None:
        config = self.config
        if config is self._used:
            return
        self.settled = config.settled(self._calibration)
        assert self.settled.release is not None
        self._ending.release = round(self.settled.release * self._rate)
        self._wanted = np.array(
            [config.threshold_of(name) for name in self._categories], np.float32
        )
        self._used = config

    def _of(self, calibrated: Float | None) -> Float:
        return self._calibrated if calibrated is None else calibrated

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

