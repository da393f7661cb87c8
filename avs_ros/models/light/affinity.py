"""Which voice is heard: a learned similarity between what can be marked and AudioSet's classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FLOOR = 1e-6


class ClassAudioAffinity(nn.Module):
    """C3N's label similarity M_sim, learned, and its maximum made soft.

        z_v = gain_v log(sum_j exp(L_vj) sigmoid(a_j)^alpha) + bias_v

    ``L`` ``[V, 527]`` is the log-affinity of voice v and AudioSet class j.  A voice points at the
    family (map) whose pixels make it; several voices may share one.
    """

    voice_family: Tensor

    def __init__(self, voice_family: Sequence[int], families: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.families = families
        self.log_affinity = nn.Parameter(torch.zeros(len(voice_family), 527))
        self.gain = nn.Parameter(torch.ones(len(voice_family)))
        self.bias = nn.Parameter(torch.zeros(len(voice_family)))
        self.register_buffer("voice_family", torch.tensor(list(voice_family)), persistent=False)

    def forward(self, audio_logits: Tensor) -> Tensor:
        """AudioSet logits ``[B, 527]`` -> voice logits ``[B, V]``."""
        heard = torch.sigmoid(audio_logits).pow(self.alpha)
        scores = torch.log(heard @ self.log_affinity.exp().T + FLOOR)
        return self.gain * scores + self.bias

    def by_family(self, voices: Tensor) -> Tensor:
        """Voice logits ``[B, V]`` -> the loudest voice of each family ``[B, K]``."""
        out = voices.new_full((voices.shape[0], self.families), -20.0)
        index = self.voice_family.expand(voices.shape[0], -1)
        return out.scatter_reduce(1, index, voices, "amax")
