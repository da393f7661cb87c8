"""Everything in a frame that could sound: one list of instances, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.inference.candidates import cropped, image_boxes
from avs_ros.inference.instance_masks import instance_mask
from avs_ros.segmentation import Float, sigmoid

# Anchors below this score are nobody's; of them the best are looked at.
LEAST_SCORE, MOST_ANCHORS = 0.05, 200
# Boxes that overlap so far (IoU) are of one thing, whatever they are called ...
SAME_THING = 0.6
# ... and if they are called alike, so far.
SAME_KIND = 0.5
MOST_OBJECTS = 32
TINY = 1e-6


@dataclass(frozen=True)
class PotentialObject:
    """One thing that could sound.

    ``box``: x0, y0, x1, y1 in shares of the image.  ``likely`` ``[K]``: probability that it is
    there and of each category (0: of none that the detector knows).  ``anchors``: the rows that
    found it.
    """

    box: Float
    likely: Float
    anchors: NDArray[np.int64]

    @property
    def category(self) -> int:
        """What it most likely is."""
        return int(self.likely.argmax())

    @property
    def score(self) -> float:
        """How likely it is that."""
        return float(self.likely.max())


@dataclass(frozen=True)
class PotentialObjects:
    """A frame's ``objects``, likeliest first, and what their masks are made of.

    Of each anchor: ``likely`` ``[n, K]``, ``boxes`` ``[n, 4]``, ``filters`` ``[n, F]``.
    """

    objects: Sequence[PotentialObject]
    likely: Float
    boxes: Float
    filters: Float
    features: Float

    def mask(self, one: PotentialObject, category: int) -> Float:
        """Log-odds ``[SIDE, SIDE]`` of its pixels, taken for one of ``category``.

        Its outline is that of the anchor which found that best; all that found it say where.
        """
        rows = one.anchors
        weights = self.likely[rows, category] + TINY
        best = rows[weights.argmax()]
        box = weights / weights.sum() @ self.boxes[rows]
        return instance_mask(self.filters[best], self.features, box)


def read_objects(
    outputs: Mapping[str, Any],
    classes: Sequence[Sequence[int]],
    shown: tuple[float, float] = (1.0, 1.0),
) -> PotentialObjects:
    """What a frame shows, from the detector's ``outputs`` by name, with a batch axis.

    ``classes``: for each of K categories the detector's classes that are it, any number.
    ``shown``: shares of the square's width and height that the image takes.
    """
    things = sigmoid(outputs["objectness"][0])
    rows = np.flatnonzero(things >= LEAST_SCORE)
    rows = rows[np.argsort(-things[rows], kind="stable")[:MOST_ANCHORS]]
    objects = things[rows, None] * sigmoid(outputs["classes"][0][rows])
    likely = np.zeros((len(rows), len(classes)), np.float32)
    for k, own in enumerate(classes):
        likely[:, k] = objects[:, list(own)].max(axis=1, initial=0.0)
    boxes = image_boxes(outputs["boxes"][0][rows], shown).astype(np.float32)
    return PotentialObjects(
        gathered(boxes, likely),
        likely,
        boxes,
        np.asarray(outputs["filters"][0][rows], np.float32),
        np.asarray(cropped(outputs["features"][0], shown), np.float32),
    )


def gathered(boxes: Float, likely: Float) -> list[PotentialObject]:
    """Anchors -> things, each once, likeliest first.

    ``boxes`` ``[n, 4]``, ``likely`` ``[n, K]``.  An anchor that overlaps a likelier one is the
    same thing; what it says of the thing's categories, and of its place, is kept.
    """
    score = likely.max(axis=1)
    order = [int(i) for i in np.argsort(-score, kind="stable") if score[i] >= LEAST_SCORE]
    overlap, kind = box_ious(boxes, boxes), likely.argmax(axis=1)
    heads = np.zeros(0, np.int64)
    members: list[list[int]] = []
    for i in order:
        shared = overlap[i, heads]
        same = shared >= np.where(kind[heads] == kind[i], SAME_KIND, SAME_THING)
        if same.any():
            members[int(np.where(same, shared, -1).argmax())].append(i)
        elif len(heads) < MOST_OBJECTS:
            heads = np.append(heads, i)
            members.append([i])
    found = []
    for own in members:
        weights = score[own] / score[own].sum()
        box = np.asarray(weights @ boxes[own], np.float32)
        found.append(PotentialObject(box, likely[own].max(axis=0), np.asarray(own)))
    return found


def box_ious(some: Float, others: Float) -> Float:
    """Intersection over union of boxes ``[n, 4]`` and ``[m, 4]``: ``[n, m]``."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (some, others)]
    return np.asarray(
        both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-9), np.float32
    )
