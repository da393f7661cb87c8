"""What is heard of each category, from AudioSet scores: the learned affinity without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avs_ros.segmentation import Float

_FLOOR = 1e-6
_UNHEARD = -20.0
# Sound classes that are sounds, not things.
_UNNAMED = ("siren",)


class ClassAffinity:
    """A trained ``ClassAudioAffinity`` (``models/light/selection.py``) from plain values.

    ``metadata``: ``log_affinity`` [V][527], ``gain``, ``bias`` and
    ``sound_class_category`` [V], ``categories`` (their number K).  ``names``: of the sound
    classes.
    """

    def __init__(self, metadata: Mapping[str, Any], names: Sequence[str] = ()) -> None:
        self._affinity = np.exp(np.asarray(metadata["log_affinity"], np.float64)).T
        self._gain = np.asarray(metadata["gain"], np.float64)
        self._bias = np.asarray(metadata["bias"], np.float64)
        self._categories = int(metadata["categories"])
        self.sound_class_category = np.asarray(metadata["sound_class_category"], np.int64)
        self._names = names

    def sound_classes(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> sound class logits ``[V]``."""
        likely = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -60.0, 60.0)))
        scores = np.log(likely @ self._affinity + _FLOOR)
        return np.asarray(self._gain * scores + self._bias, np.float32)

    def __call__(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]``: the loudest sound class of each
        category.
        """
        evidence = np.full(self._categories, _UNHEARD, np.float32)
        np.maximum.at(evidence, self.sound_class_category, self.sound_classes(logits))
        return evidence

    def name(self, category: int, categories: Sequence[str], logits: Float) -> str:
        """The category's name, or that of a sound class of it which is clearly louder."""
        heard, names = self.sound_classes(logits), self._names
        own = np.flatnonzero(self.sound_class_category == category)
        name = categories[category]
        # A special case of the category ("baby", "helicopter") must be clearly louder than it.
        plain = heard[names.index(name)] + 1.0 if name in names else 0.0
        best = int(own[heard[own].argmax()]) if own.size else -1
        special = best >= 0 and heard[best] > plain and names[best] not in _UNNAMED
        return names[best] if special else name
