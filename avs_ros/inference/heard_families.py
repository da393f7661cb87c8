"""What is heard of each family, from AudioSet scores: the learned affinity without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avs_ros.segmentation import Float

_FLOOR = 1e-6
_UNHEARD = -20.0


class HeardFamilies:
    """A trained ``ClassAudioAffinity`` (``models/light/affinity.py``) from plain values.

    ``facts``: ``log_affinity`` [V][527], ``gain`` and ``bias`` [V], ``alpha``, ``voice_family``
    [V], ``families`` (their number K).
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._affinity = np.exp(np.asarray(facts["log_affinity"], np.float64)).T
        self._gain = np.asarray(facts["gain"], np.float64)
        self._bias = np.asarray(facts["bias"], np.float64)
        self._alpha = float(facts["alpha"])
        self._families = int(facts["families"])
        self.voice_family = np.asarray(facts["voice_family"], np.int64)

    def voices(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> voice logits ``[V]``."""
        likely = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -60.0, 60.0)))
        heard = likely**self._alpha @ self._affinity
        return np.asarray(self._gain * np.log(heard + _FLOOR) + self._bias, np.float32)

    def __call__(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]``: the loudest voice of each family."""
        evidence = np.full(self._families, _UNHEARD, np.float32)
        np.maximum.at(evidence, self.voice_family, self.voices(logits))
        return evidence
