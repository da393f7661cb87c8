"""What is seen and heard of each category where it is not, and what others let hear of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avs_ros.inference.explaining import ROWS
from avs_ros.segmentation import Float

# What a category of few recordings lets hear is mixed with so many of no category in particular.
PRIOR_COUNT = 5


def background_of(
    cells: Sequence[tuple[Float, Float]], sounds: Sequence[tuple[Float, Float]]
) -> dict[str, Any]:
    """What :class:`Background` takes, of images and sounds without each category, and of sounds
    of one alone.

    ``cells``: log-probability ``[K]`` of an image's best cells, and what is shown ``[K]`` (1, 0,
    -1 unknown: most likely not); ``sounds``: evidence ``[4 K]`` and what makes it ``[K]``.
    """
    seen = [(peaks, np.maximum(shown, 0)) for peaks, shown in cells]
    heard = [(evidence.reshape(ROWS, -1)[0], makers) for evidence, makers in sounds]
    return {"cells": _usual(seen), "sound": _usual(heard), "alone": _alone(heard)}


def usual_logits(logits: Float) -> list[list[float]]:
    """What :class:`SoundEvidence` takes as usual, of AudioSet logits ``[N, 527]`` of all kinds of
    sounds: medians, and half of what lies between the 16th and the 84th of a hundred.
    """
    low, middle, high = np.quantile(logits, (0.16, 0.5, 0.84), axis=0)
    return [np.round(middle, 2).tolist(), np.round((high - low) / 2, 2).tolist()]


def _usual(found: Sequence[tuple[Float, Float]]) -> list[list[float]]:
    """Means and spreads; a spread of 0 where nothing ever differs."""
    values, truth = (np.stack(part) for part in zip(*found, strict=True))
    mean, spread = [], []
    for column, known in zip(values.T, truth.T, strict=True):
        without = column[known == 0] if np.ptp(column) > 0 else np.zeros(1)
        mean.append(round(float(without.mean()), 3))
        spread.append(round(float(without.std()), 3))
    return [mean, spread]


def _alone(found: Sequence[tuple[Float, Float]]) -> list[list[list[float]]]:
    """Means and spreads of each category's log-odds (columns) while one (rows) sounds."""
    values, truth = (np.stack(part).astype(np.float64) for part in zip(*found, strict=True))
    mean, square = values.mean(axis=0), values.var(axis=0)
    means, spreads = [], []
    for makes in truth.T > 0:
        own = values[makes]
        count = len(own) + PRIOR_COUNT
        means.append((own.sum(axis=0) + PRIOR_COUNT * mean) / count)
        within = np.square(own - own.mean(axis=0)).sum(axis=0) if len(own) else 0.0
        spreads.append(np.sqrt((within + PRIOR_COUNT * square) / count))
    return [np.round(means, 2).tolist(), np.round(spreads, 2).tolist()]
