"""What is heard of each category, from AudioSet scores: the learned affinity without PyTorch.

Some categories fit the same sounds: a motor is heard, and the image says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.segmentation import Float

_FLOOR = 1e-6
_UNHEARD = -20.0
# Sound classes that are sounds, not things.
_UNNAMED = ("siren",)


class ClassAffinity:
    """A trained ``ClassAudioAffinity`` (``models/light/affinity.py``) from plain values.

    ``metadata``: ``log_affinity`` [V][527], ``gain`` and ``bias`` [V], ``alpha``,
    ``sound_class_category`` [V], ``categories`` (their number K).
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._affinity = np.exp(np.asarray(metadata["log_affinity"], np.float64)).T
        self._gain = np.asarray(metadata["gain"], np.float64)
        self._bias = np.asarray(metadata["bias"], np.float64)
        self._alpha = float(metadata["alpha"])
        self._categories = int(metadata["categories"])
        self.sound_class_category = np.asarray(metadata["sound_class_category"], np.int64)

    def sound_classes(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> sound class logits ``[V]``."""
        likely = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, np.float64), -60.0, 60.0)))
        heard = likely**self._alpha @ self._affinity
        return np.asarray(self._gain * np.log(heard + _FLOOR) + self._bias, np.float32)

    def __call__(self, logits: Float) -> Float:
        """AudioSet logits ``[527]`` -> evidence ``[K]``: the loudest sound class of each
        category.
        """
        evidence = np.full(self._categories, _UNHEARD, np.float32)
        np.maximum.at(evidence, self.sound_class_category, self.sound_classes(logits))
        return evidence

    def name(
        self, category: int, categories: Sequence[str], names: Sequence[str], sound_classes: Float
    ) -> str:
        """The category's name, or that of a sound class of it which is clearly louder.

        ``categories`` and ``names``: of the categories and of the sound classes;
        ``sound_classes``: their logits.
        """
        own = np.flatnonzero(self.sound_class_category == category)
        name = categories[category]
        # A special case of the category ("baby", "helicopter") must be clearly louder than it.
        plain = sound_classes[names.index(name)] + 1.0 if name in names else 0.0
        best = int(own[sound_classes[own].argmax()]) if own.size else -1
        special = best >= 0 and sound_classes[best] > plain and names[best] not in _UNNAMED
        return names[best] if special else name


Bools = NDArray[np.bool_]


def confusable_indices(
    categories: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    """Names -> places in ``categories``; names that are not there are passed over."""
    place = {name: k for k, name in enumerate(categories)}
    found = (tuple(place[name] for name in group if name in place) for group in groups)
    return tuple(group for group in found if len(group) > 1)


def pool_confusable(gate: Float, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` probabilities: the likeliest of each group gets that of *any* of them sounding.

    Where a bus may as well be a truck, each gets half of what is certain of both together.
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
