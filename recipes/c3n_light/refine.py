"""The last stage: a finished network looks at more images, in the size that it is used at.

The audio encoder stays as it is, and what the network knew of ImageNet's classes pulls it back.
Three steps in four teach what every pixel shows; the fourth teaches everything beside it with real
sounds and gates, so that the parts stay tuned to each other.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from torch import Tensor

from avs_ros.models.light.network import LightC3N
from recipes.c3n_light.joint import PairSampler, pair_loss
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.visual_stage import scene_loss

# Kinds that the shipped weights of 0.1 saw badly.
MORE_OF = {
    "car": 2.0, "bus": 2.0, "truck": 2.0, "motorcycle": 2.0, "train": 1.5, "cat": 1.5,
    "sheep": 1.5, "guitar": 1.5, "violin": 1.5, "piano": 1.5, "drum": 1.5,
    "wind instrument": 1.5,
}  # fmt: skip
EVERY = 4


class RefineStage:
    """See the module; ``network``: what ``joint`` (or a shipped file) has learned."""

    name, power = "refine", 0.9

    def __init__(
        self,
        network: LightC3N,
        scenes: SceneSampler,
        pairs: PairSampler,
        batch: int,
        seed: int,
    ) -> None:
        self.network, self.batch, self.key = network, batch, seed
        self._start = copy.deepcopy(network).eval().requires_grad_(False)
        self.scenes, self.pairs = scenes, pairs
        network.train()
        network.audio_encoder.eval().requires_grad_(False)
        network.affinity.requires_grad_(False)

    def groups(self) -> list[dict[str, Any]]:
        """Backbone slowly, the rest four times as fast; biases by their own size."""
        backbone = list(self.network.c3n.backbone.parameters())
        slow, known = [p for p in backbone if p.requires_grad], {id(p) for p in backbone}
        rest = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in slow if p.ndim > 1], "lr": 1e-4, "weight_decay": 1e-4},
            {"params": [p for p in slow if p.ndim == 1], "lr": 6e-4, "weight_decay": 0.0},
            {"params": rest, "lr": 8e-4, "weight_decay": 1e-4},
        ]
        return [group for group in groups if group["params"]]

    def loss(self, step: int, done: float) -> Tensor:
        """Maps against masks; in every fourth step the pair losses of ``joint``."""
        if step % EVERY == EVERY - 1:
            self.pairs.seed(self.key, step)
            drawn = [self.pairs.draw() for _ in range(self.batch)]
            return pair_loss(self.network, drawn, self._start)
        self.scenes.rng = np.random.default_rng((self.key, step))
        return scene_loss(self.network, [self.scenes.draw() for _ in range(self.batch)])
