"""The detector's scenes, drawn while those before them are learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from recipes.c3n_light.laying import Scene


class SceneDrawer:
    """``draw``: makes one of ``size`` px; ``batch`` a step.

    The scenes of a step are the same whatever was drawn before: ``key`` and the step seed them.
    """

    def __init__(
        self,
        draw: Callable[[np.random.Generator, int], Scene],
        size: int,
        batch: int,
        key: int,
    ) -> None:
        self._one, self._size, self._batch, self.key = draw, size, batch, key
        self._ahead = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[list[Scene]]] | None = None

    def __call__(self, step: int) -> list[Scene]:
        """The scenes of a step."""
        ahead = self._next
        scenes = ahead[1].result() if ahead and ahead[0] == step else self._draw(step)
        self._next = step + 1, self._ahead.submit(self._draw, step + 1)
        return scenes

    def _draw(self, step: int) -> list[Scene]:
        rng = np.random.default_rng((self.key, step))
        return [self._one(rng, self._size) for _ in range(self._batch)]


def pixels_of(scenes: Sequence[Scene]) -> Tensor:
    """Frames as the detector takes them: ``[B, 3, S, S]`` in -1..1."""
    frames = torch.from_numpy(np.stack([scene.frame for scene in scenes])).permute(0, 3, 1, 2)
    return frames.float().contiguous(memory_format=torch.channels_last) / 127.5 - 1.0
