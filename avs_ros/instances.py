"""Which pixels belong to which instance, and where to look, in the model frame (NumPy, OpenCV)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.segmentation import Float, Layer

Bools = NDArray[np.bool_]
MAX_INSTANCES = 254  # 0 means nothing and 255 "unknown" in a label mask
# What a place that shows nothing of a label is worth beside the one that shows most of it.
LEAST_EVIDENCE = 0.05


@dataclass(frozen=True)
class Region:
    """A candidate instance: bool ``pixels`` ``[h, w]``.

    ``score``: 0..1; ``strength``: sum of its pixels' probabilities, less for what moves less than
    others of its name.  ``attraction``: how much each pixel draws the attention point,
    ``[h, w]``.  ``index``: see :class:`Layer`.
    """

    pixels: Bools
    attraction: Float
    label: str
    score: float
    strength: float
    index: int = 0


def connected_regions(
    probability: Float, marked: Bools, label: str, smallest: float
) -> list[Region]:
    """Connected parts (8 neighbours) of ``marked``, ``smallest`` pixels at least."""
    count, parts = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8)
    sums = np.bincount(parts.ravel(), weights=probability.ravel(), minlength=count)
    areas = np.bincount(parts.ravel(), minlength=count)
    return [
        Region(parts == i, probability, label, float(sums[i] / areas[i]), float(sums[i]))
        for i in range(1, count)
        if areas[i] >= smallest
    ]


def regions_of_layers(layers: Sequence[Layer], marked: Bools, smallest: float) -> list[Region]:
    """One region per layer; a pixel claimed by several goes to the most probable."""
    if not layers:
        return []
    owner = np.stack([layer.probability for layer in layers]).argmax(axis=0)
    regions = []
    for i, layer in enumerate(layers):
        pixels = marked & (owner == i)
        if np.count_nonzero(pixels) >= smallest:
            # Squared: a small thing that moves outweighs a large one beside it that hardly does.
            strength = layer.moving**2 * float(layer.probability[pixels].sum())
            draws = layer.probability
            if layer.evidence is not None:
                draws = draws * (layer.evidence + LEAST_EVIDENCE)
            regions.append(
                Region(pixels, draws, layer.label, layer.score, strength, layer.index)
            )
    return regions


def numbered(regions: Sequence[Region]) -> list[tuple[int, Region]]:
    """Each region with a number 1..254 of its own: the one it has, else the lowest free one."""
    own = [region.index for region in regions if region.index]
    free = iter(number for number in range(1, MAX_INSTANCES + 1) if number not in own)
    taken: set[int] = set()
    found = []
    for region in regions:
        number = region.index if region.index not in taken | {0} else next(free)
        taken.add(number)
        found.append((number, region))
    return found


def attention_point(
    attraction: Float, pixels: Bools, sx: float = 1.0, sy: float = 1.0
) -> tuple[float, float]:
    """Where to look: (x, y) of the weighted centroid of ``pixels``, inside them.

    ``attraction`` (the weights) and ``pixels``: ``[h, w]``, the latter not empty.  A centroid
    that misses the pixels (a ring, a crescent) moves to the centre of the nearest one.  The result
    is scaled by ``sx``, ``sy``.
    """
    rows, columns = np.nonzero(pixels)
    weights = np.maximum(attraction[rows, columns].astype(np.float64), 1e-12)
    x = float(np.average(columns + 0.5, weights=weights))
    y = float(np.average(rows + 0.5, weights=weights))
    if not pixels[int(y), int(x)]:
        nearest = int(np.argmin((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2))
        x, y = columns[nearest] + 0.5, rows[nearest] + 0.5
    return x * sx, y * sy
