"""What is heard of each family, from AudioSet scores: the learned affinity without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avs_ros.segmentation import Float

_FLOOR = 1e-6
_UNHEARD = -20.0
# Voices that are sounds, not things.
_UNNAMED = ("siren",)


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

    def name(
        self, family: int, families: Sequence[str], names: Sequence[str], voices: Float
    ) -> str:
        """The family's name, or that of a voice of it which is clearly louder.

        ``families`` and ``names``: of the families and of the voices; ``voices``: their logits.
        """
        own = np.flatnonzero(self.voice_family == family)
        name = families[family]
        # A special case of the family ("baby", "helicopter") must be clearly louder than it.
        plain = voices[names.index(name)] + 1.0 if name in names else 0.0
        best = int(own[voices[own].argmax()]) if own.size else -1
        special = best >= 0 and voices[best] > plain and names[best] not in _UNNAMED
        return names[best] if special else name
