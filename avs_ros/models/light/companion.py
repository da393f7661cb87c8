"""Which category sounds beside the one that the gate accepts first.

One sound makes the audio encoder think of several classes, and the loudest hides the others.  So a
second category is asked about apart, against what the first one alone lets the audio encoder hear.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avs_ros.models.light.selection import ScoringMLP, evidence_inputs, is_at

# Logit of what cannot be a companion: the first category itself.
NEVER = -30.0


class CompanionGate(ScoringMLP):
    """Logit that category k is visible and sounds too, given the first category f, for every k.

    ``usual`` ``[K, K]``: row f holds the mean sound class logits when f sounds alone, ``spread``
    their standard deviations; both are measured in training.  Weights are shared by all
    categories.
    """

    usual: Tensor
    spread: Tensor

    def __init__(self, categories: int, hidden: int = 24) -> None:
        super().__init__(12, hidden)
        self.register_buffer("usual", torch.zeros(categories, categories))
        self.register_buffer("spread", torch.ones(categories, categories))

    def forward(self, heard: Tensor, seen: Tensor, first: Tensor) -> Tensor:
        """Logits ``[B, K]``; ``first`` itself gets ``NEVER``.

        ``heard``: ``[B, K]`` sound class logits; ``seen``: ``[B, K, 3]``; ``first``: ``[B]``,
        indices.
        """
        heard = heard.clamp(-12, 12)
        itself = is_at(first[:, None], heard)
        excess = heard - self.usual[first]
        inputs = [
            *evidence_inputs(heard, seen, but=itself),
            _of(heard, itself),
            _of(seen[..., 0], itself),
            excess,
            2.0 * excess / self.spread[first],
        ]
        return self.weigh(inputs).masked_fill(itself, NEVER)


def _of(values: Tensor, itself: Tensor) -> Tensor:
    """The first category's value for every k: ``[B, K]`` twice -> ``[B, K]``."""
    own = torch.where(itself, values, torch.zeros_like(values)).sum(dim=1, keepdim=True)
    return own.expand_as(values)
