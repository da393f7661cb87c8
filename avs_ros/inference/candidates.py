"""What a frame shows that may sound: detected instances, and class-activated cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.inference.instance_masks import SIDE, box_iou, enlarged, instance_mask
from avs_ros.segmentation import Float, sigmoid

# Detections below this score are nobody's; instances of a category that overlap more are one.
LEAST_SCORE = 0.05
SAME_IOU = 0.55
MOST_INSTANCES = 6
# An instance is marked with the best one of its category from this share of its score on.
BESIDE_BEST = 0.5
# An instance from this score on makes the mask; else the cells do.
DETECTED = 0.06
# Share of a class-activated map's maximum from which a cell shows the category.
CAM_LEVEL, CAM_LOG_ODDS = 0.2, 2.0
# Which object of any class stands for a category that only cells show, of the likeliest ones:
# weights of what `thing_features` tells of a box (`python -m recipes.c3n_light boxes`).
THING_WEIGHTS, MOST_THINGS = (2.07, 1.64, 15.41, 0.96), 200
# It must hold this share of what the cells show: a fountain is no object.
THING_HOLDS = 0.3


@dataclass(frozen=True)
class DetectedInstance:
    """``box``: x0, y0, x1, y1 in shares of the image; ``score``: 0..1; ``anchor``: its row."""

    box: Float
    score: float
    anchor: int


@dataclass(frozen=True)
class Candidates:
    """One frame's: ``score`` ``[K]`` of the best instance of each category (0: none), ``peak``
    ``[K]``: of its best cell in the class-activated map.
    """

    score: Float
    peak: Float
    cells: Float
    objects: Float
    things: Float
    boxes: Float
    filters: Float
    features: Float
    rows: Sequence[Sequence[int]]

    def instances(self, category: int) -> list[DetectedInstance]:
        """The best first; those that overlap a better one are left out."""
        score = self._of(category)
        order = [int(i) for i in np.argsort(-score) if score[i] >= LEAST_SCORE]
        kept: list[DetectedInstance] = []
        for i in order[:200]:
            if len(kept) == MOST_INSTANCES:
                break
            if all(box_iou(self.boxes[i], one.box) < SAME_IOU for one in kept):
                kept.append(DetectedInstance(self.boxes[i], float(score[i]), i))
        return kept

    def marked(self, category: int) -> list[DetectedInstance]:
        """The instances that belong to the category's mask."""
        found = self.instances(category)
        return [one for one in found if one.score >= BESIDE_BEST * found[0].score]

    def masks(self, category: int) -> list[Float]:
        """One mask for each marked instance, or the category's where nothing is detected."""
        if self.score[category] < DETECTED:
            return [self._from_cells(category)]
        return [self._instance(one.anchor) for one in self.marked(category)]

    def mask(self, category: int) -> Float:
        """Log-odds ``[SIDE, SIDE]`` of the category's pixels."""
        return np.asarray(np.maximum.reduce(self.masks(category)), np.float32)

    def shown(self, category: int) -> Float:
        """How likely each place shows the category, by the cells: ``[SIDE, SIDE]``, 0..1."""
        return enlarged(self.cells[category])

    def evidence(self, category: int) -> Float | None:
        """Where in its mask a category that only cells show is, ``[SIDE, SIDE]``, 0..1; None
        where instances show it.

        An object of any class that stands for the category may be larger than it: the guitarist.
        """
        if self.score[category] >= DETECTED:
            return None
        shown = self.shown(category)
        return shown / np.float32(max(float(shown.max()), 1e-6))

    def likely_things(self) -> Any:
        """Anchors of the likeliest objects of any class, the likeliest first."""
        return np.argsort(-self.things)[:MOST_THINGS]

    def _of(self, category: int) -> Float:
        columns = list(self.rows[category])
        return np.asarray(self.objects[:, columns].max(axis=1, initial=0.0), np.float32)

    def _instance(self, anchor: int) -> Float:
        return instance_mask(self.filters[anchor], self.features, self.boxes[anchor])

    def _from_cells(self, category: int) -> Float:
        """Without an instance: the object of any class that holds the cells, else they."""
        cells = self.shown(category)
        best = self._thing_at(cells)
        if best >= 0:
            return self._instance(best)
        shown = cells > CAM_LEVEL * max(float(cells.max()), 1e-6)
        return np.where(shown, CAM_LOG_ODDS, -CAM_LOG_ODDS).astype(np.float32)

    def _thing_at(self, cells: Float) -> int:
        """The anchor of the object that stands for ``cells`` ``[SIDE, SIDE]``, -1 for none."""
        likely = self.likely_things()
        if not len(likely):
            return -1
        features, held = thing_features(cells, self.boxes[likely], self.things[likely])
        best = int((features @ np.array(THING_WEIGHTS, np.float32)).argmax())
        return int(likely[best]) if held[best] >= THING_HOLDS or not cells.any() else -1


def thing_features(cells: Float, boxes: Float, things: Float) -> tuple[Float, Float]:
    """What tells whether boxes ``[n, 4]`` hold the category that ``cells`` ``[SIDE, SIDE]`` show.

    ``[n, 4]``: logs of the objectness ``things`` and of the mean of the cells within, against
    their maximum; how well they fit (intersection over union, soft); log of the box's area.  And
    the shares ``[n]`` of the cells within.
    """
    shown = cells / max(float(cells.max()), 1e-6)
    sums = np.pad(shown.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    x0, y0, x1, y1 = np.round(boxes * SIDE).astype(int).T
    within = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    area = np.maximum((x1 - x0) * (y1 - y0), 1)
    total = float(shown.sum())
    features = [
        np.log(things),
        np.log(within / area + 0.02),
        within / np.maximum(total + area - within, 1e-6),
        np.log(area / SIDE**2 + 0.003),
    ]
    held = within / max(total, 1e-6)
    return np.stack(features, axis=1).astype(np.float32), np.asarray(held, np.float32)


class CandidateReader:
    """The network's outputs for a frame -> :class:`Candidates`.

    ``metadata``: ``detector_rows`` (for each category the detector's classes that are it).
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._rows = [tuple(rows) for rows in metadata["detector_rows"]]

    def __call__(
        self, outputs: Mapping[str, Float], shown: tuple[float, float] = (1.0, 1.0)
    ) -> Candidates:
        """``outputs``: those of ``models.light.steps``, by name, with a batch axis.

        ``shown``: shares of the whole frame's width and height that the image takes.
        """
        things = sigmoid(outputs["objectness"][0])
        likely = things >= LEAST_SCORE
        things = things[likely]
        objects = things[:, None] * sigmoid(outputs["classes"][0][likely])
        score = np.array(
            [objects[:, rows].max() if rows and len(objects) else 0.0 for rows in self._rows],
            np.float32,
        )
        cells = outputs["cells"][0]
        return Candidates(
            score=np.where(score >= LEAST_SCORE, score, 0).astype(np.float32),
            peak=cells.max(axis=(1, 2)),
            cells=cells,
            objects=objects,
            things=things,
            boxes=image_boxes(outputs["boxes"][0][likely], shown),
            filters=outputs["filters"][0][likely],
            features=cropped(outputs["features"][0], shown),
            rows=self._rows,
        )


def image_boxes(boxes: Float, shown: tuple[float, float]) -> Float:
    """Boxes ``[n, 4]`` in shares of the whole frame -> of the image in it, 0..1."""
    return np.asarray(np.clip(boxes / np.array([*shown, *shown], np.float32), 0, 1))


def cropped(maps: Float, shown: tuple[float, float]) -> Float:
    """The part of ``[C, h, w]`` that shows the image."""
    height, width = maps.shape[1:]
    return maps[:, : max(1, round(height * shown[1])), : max(1, round(width * shown[0]))]
