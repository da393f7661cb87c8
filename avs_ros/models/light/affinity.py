"""Which sound class is heard: a learned similarity between what can be marked and AudioSet's
classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FLOOR = 1e-6


class ClassAudioAffinity(nn.Module):
    """C3N's label similarity M_sim, learned, and its maximum made soft.

        z_v = gain_v log(sum_j exp(L_vj) sigmoid(a_j)^alpha) + bias_v

    ``L`` ``[V, 527]`` is the log-affinity of sound class v and AudioSet class j.  A sound class
    points at the category (map) whose pixels make it; several sound classes may share one.
    """

    sound_class_category: Tensor

    def __init__(
        self, sound_class_category: Sequence[int], categories: int, alpha: float = 1.0
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.categories = categories
        self.log_affinity = nn.Parameter(torch.zeros(len(sound_class_category), 527))
        self.gain = nn.Parameter(torch.ones(len(sound_class_category)))
        self.bias = nn.Parameter(torch.zeros(len(sound_class_category)))
        self.register_buffer(
            "sound_class_category", torch.tensor(list(sound_class_category)), persistent=False
        )

    def forward(self, audio_logits: Tensor) -> Tensor:
        """AudioSet logits ``[B, 527]`` -> sound class logits ``[B, V]``."""
        heard = torch.sigmoid(audio_logits).pow(self.alpha)
        scores = torch.log(heard @ self.log_affinity.exp().T + FLOOR)
        return self.gain * scores + self.bias

    def by_category(self, sound_classes: Tensor) -> Tensor:
        """Sound class logits ``[B, V]`` -> the loudest sound class of each category ``[B, K]``."""
        out = sound_classes.new_full((sound_classes.shape[0], self.categories), -20.0)
        index = self.sound_class_category.expand(sound_classes.shape[0], -1)
        return out.scatter_reduce(1, index, sound_classes, "amax")
