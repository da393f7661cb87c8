"""Composite scenes for the segmenter: every thing apart, two of a kind more often than in life."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.models.light.vocabulary import CATEGORIES
from avs_ros.segmentation import Bytes
from recipes.avsc_light.instances import Part, read
from recipes.c3n_light.images import IGNORE, SIZE
from recipes.c3n_light.scenes import SceneSampler, resized

UNKNOWN = -1
# An instance that keeps less than this of the scene is no longer asked for.
VISIBLE = 0.002
# Shares of scenes that are images side by side; of these, of one category; of these, one image.
BESIDE, SAME_CATEGORY, TWIN = 0.38, 0.6, 0.35
Ids = NDArray[np.int16]


@dataclass(frozen=True)
class Scene:
    """``image`` uint8 ``[S, S, 3]``; ``ids`` int16 ``[S, S]``: 0 nothing, i part i - 1, -1
    unknown.
    """

    image: Bytes
    ids: Ids
    parts: tuple[Part, ...]


class InstanceSampler(SceneSampler):
    """Draws scenes with instances; what is held out goes by image, as for the light model."""

    def __init__(self, work: Path, held_out: bool, size: int, seed: int) -> None:
        super().__init__(work, held_out, size, seed)
        self._ids, self._parts = read(work)

    def scene(self) -> Scene:
        """One augmented scene."""
        draw = self.rng.random()
        if draw < BESIDE:
            image, ids, parts = self._side_by_side()
        else:
            image, ids, parts = self._cut(self._pick(), 0.3)
            for _ in range(int(self.rng.choice([0, 1, 2], p=[0.55, 0.3, 0.15]))):
                image, ids, parts = self._lay_on(image, ids, parts)
        return tidy(Scene(self._colours(image), ids, tuple(parts)))

    def whole(self, index: int) -> Scene:
        """Image ``index`` as it is."""
        image = resized(np.asarray(self._images[index]), self.size)
        ids = _ids(resized(np.asarray(self._ids[index]), self.size, cv2.INTER_NEAREST))
        return tidy(Scene(image, ids, tuple(self._parts[index])))

    def _cut(self, index: int, smallest: float) -> tuple[Bytes, Ids, list[Part]]:
        """A random part of an image, flipped half of the time, stretched a little."""
        rng = self.rng
        area, stretch = rng.uniform(smallest, 1.0), np.exp(rng.uniform(-0.3, 0.3))
        w = int(min(SIZE, SIZE * np.sqrt(area) * stretch))
        h = int(min(SIZE, SIZE * np.sqrt(area) / stretch))
        x, y = int(rng.integers(0, SIZE - w + 1)), int(rng.integers(0, SIZE - h + 1))
        step = -1 if rng.random() < 0.5 else 1
        image = np.ascontiguousarray(self._images[index][y : y + h, x : x + w][:, ::step])
        ids = np.ascontiguousarray(self._ids[index][y : y + h, x : x + w][:, ::step])
        return (
            resized(image, self.size),
            _ids(resized(ids, self.size, cv2.INTER_NEAREST)),
            list(self._parts[index]),
        )

    def _side_by_side(self) -> tuple[Bytes, Ids, list[Part]]:
        """Two or four images; half of the time of one category, so that two of a kind appear."""
        size, rng = self.size, self.rng
        image, ids = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.int16)
        parts: list[Part] = []
        cut = int(size * rng.uniform(0.35, 0.65))
        rows = [(0, cut), (cut, size)] if rng.random() < 0.35 else [(0, size)]
        category = int(rng.choice(len(CATEGORIES), p=self._weight))
        same_category = rng.random() < SAME_CATEGORY and len(self.by_category[category]) > 0
        twin = (
            int(rng.choice(self.by_category[category]))
            if same_category and rng.random() < TWIN
            else -1
        )
        for top, bottom in rows:
            for left, right in ((0, cut), (cut, size)):
                index = (
                    int(rng.choice(self.by_category[category])) if same_category else self._pick()
                )
                index = twin if twin >= 0 else index
                one, one_ids, own = self._cut(index, 0.4)
                shape = (right - left, bottom - top)
                part = cv2.resize(one, shape, interpolation=cv2.INTER_AREA)
                image[top:bottom, left:right] = part
                small = cv2.resize(one_ids, shape, interpolation=cv2.INTER_NEAREST)
                ids[top:bottom, left:right] = np.where(small > 0, small + len(parts), small)
                parts.extend(own)
        return image, ids, parts

    def _lay_on(self, image: Bytes, ids: Ids, parts: list[Part]) -> tuple[Bytes, Ids, list[Part]]:
        """Cut one instance out of another image and lay it on this one."""
        rng, size = self.rng, self.size
        category = int(rng.choice(len(CATEGORIES), p=self._weight))
        if not self.by_category[category]:
            return image, ids, parts
        other, other_ids, others = self._cut(int(rng.choice(self.by_category[category])), 0.6)
        of_category = [i for i, part in enumerate(others, 1) if part.category == category]
        small = max(32, int(size * rng.uniform(0.35, 1.0)))
        other = resized(other, small)
        other_ids = _nearest(other_ids, small)
        areas = [int((other_ids == i).sum()) for i in of_category]
        if not areas or max(areas) < 0.004 * size * size:
            return image, ids, parts
        pick = of_category[int(np.argmax(areas))]
        cutout = (other_ids == pick).astype(np.uint8)
        x, y = (int(rng.integers(0, size - small + 1)) for _ in range(2))
        soft = cv2.GaussianBlur(cutout.astype(np.float32), (5, 5), 0)[..., None]
        image, ids = image.copy(), ids.copy()
        under = image[y : y + small, x : x + small]
        image[y : y + small, x : x + small] = (under * (1 - soft) + other * soft).astype(np.uint8)
        ids[y : y + small, x : x + small][cutout > 0] = len(parts) + 1
        return image, ids, [*parts, others[pick - 1]]


def tidy(scene: Scene) -> Scene:
    """Number the parts that are left anew; too small ones become unknown."""
    ids = scene.ids
    out = np.where(ids == UNKNOWN, np.int16(UNKNOWN), np.int16(0)).astype(np.int16)
    parts: list[Part] = []
    for value in np.unique(ids):
        if value <= 0:
            continue
        inside = ids == value
        if inside.mean() < VISIBLE:
            out[inside] = UNKNOWN
            continue
        parts.append(scene.parts[value - 1])
        out[inside] = len(parts)
    return Scene(scene.image, out, tuple(parts))


def _ids(stored: Bytes) -> Ids:
    return np.where(stored == IGNORE, np.int16(UNKNOWN), stored.astype(np.int16))


def _nearest(ids: Ids, size: int) -> Ids:
    return np.asarray(cv2.resize(ids, (size, size), interpolation=cv2.INTER_NEAREST), np.int16)
