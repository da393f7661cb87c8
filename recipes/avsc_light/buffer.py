"""Scenes kept as the backbone sees them, so that a step costs only what it teaches.

The backbone comes trained (from the light model) and is not moved in the first step; what it
says of a scene is computed once and used several times, while a part of the scenes is
replaced at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from avs_ros.models.avsc import Target
from recipes.avsc_light.instances import Part
from recipes.avsc_light.scenes import UNKNOWN, Ids, Scene
from recipes.c3n_light.visual_stage import pixels

# Frames per pass of the backbone.
CHUNK = 8
Features = tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """``features``: what ``net.features`` gave, float32; ``scenes``: what they show.

    ``teacher``: ``[B, K, t, t]`` category probabilities of the teacher, 0..1.
    """

    features: Features
    targets: list[Target]
    teacher: Tensor


class SceneBuffer:
    """The last ``capacity`` scenes; :meth:`refresh` replaces the oldest.

    ``see``: frames ``[B, 3, S, S]`` -> features, and the teacher's category probabilities
    ``[B, K, t, t]``.
    """

    def __init__(
        self,
        draw: Callable[[], Scene],
        see: Callable[[Tensor], tuple[Features, Tensor]],
        capacity: int,
        side: int,
    ) -> None:
        """``side``: of the square masks, in cells (a quarter of the frame's)."""
        self._draw, self._see, self._side = draw, see, side
        self._capacity = capacity
        self._features: list[Tensor] = []
        self._teacher = torch.zeros(0)
        self._ids: list[Ids] = []
        self._parts: list[tuple[Part, ...]] = []
        self._next = 0

    def __len__(self) -> int:
        """Scenes it holds."""
        return len(self._ids)

    @torch.no_grad()
    def refresh(self, count: int) -> None:
        """Draw ``count`` new scenes."""
        for first in range(0, count, CHUNK):
            scenes = [self._draw() for _ in range(min(CHUNK, count - first))]
            features, teacher = self._see(pixels(np.stack([scene.image for scene in scenes])))
            if not self._features:
                self._features = [
                    f.new_empty((self._capacity, *f.shape[1:]), dtype=torch.float16)
                    for f in features
                ]
                self._teacher = torch.empty(
                    (self._capacity, *teacher.shape[1:]), dtype=torch.uint8
                )
            for row, scene in enumerate(scenes):
                self._put(scene, [f[row] for f in features], teacher[row])

    def _put(self, scene: Scene, features: Sequence[Tensor], teacher: Tensor) -> None:
        at = self._next % self._capacity
        self._next += 1
        ids = shrink(scene.ids, self._side)
        if at == len(self._ids):
            self._ids.append(ids)
            self._parts.append(scene.parts)
        else:
            self._ids[at], self._parts[at] = ids, scene.parts
        for store, feature in zip(self._features, features, strict=True):
            store[at] = feature
        self._teacher[at] = (teacher * 255).round().to(torch.uint8)

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` different scenes of it."""
        rows = rng.choice(len(self), size, replace=False)
        return self.rows(rows.tolist())

    def rows(self, rows: Sequence[int]) -> Batch:
        """The scenes at these places."""
        index = torch.tensor(list(rows))
        return Batch(
            tuple(store[index].float() for store in self._features),
            [target(self._ids[row], self._parts[row]) for row in rows],
            self._teacher[index].float() / 255,
        )


def shrink(ids: Ids, side: int) -> Ids:
    """Nearest cells of an id map."""
    small = cv2.resize(ids, (side, side), interpolation=cv2.INTER_NEAREST)
    return np.asarray(small, np.int16)


def target(ids: Ids, parts: Sequence[Part]) -> Target:
    """An id map ``[h, w]`` and its parts as the objective wants them; lost parts are left out."""
    cells = torch.from_numpy(ids)
    masks = [(cells == number).float() for number in range(1, len(parts) + 1)]
    kept = [i for i, mask in enumerate(masks) if float(mask.sum()) >= 3]
    height, width = ids.shape
    return Target(
        classes=torch.tensor([parts[i].category for i in kept], dtype=torch.long),
        masks=torch.stack([masks[i] for i in kept]) if kept else torch.zeros(0, height, width),
        silent=torch.tensor([parts[i].silent for i in kept], dtype=torch.bool),
        known=(cells != UNKNOWN).float(),
    )
