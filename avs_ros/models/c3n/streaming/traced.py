"""A backbone that remembers, while it runs, what the class-activated weights will need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Scales the backward pass: CCAM uses only the direction of the weights, so any factor serves, and
# a power of two changes no digit.  In half precision a large one keeps small gradients alive.
SEED = 1024.0


@dataclass
class Trace:
    """One forward pass.

    ``features``: normed stage outputs ``[B, C_i, h_i, w_i]``, stage 1 first.  ``logits``:
    ``[B, K]``.  ``record``: whatever the backbone's own backward pass needs.
    """

    features: list[Tensor]
    logits: Tensor
    record: dict[str, Any]


class TracedBackbone(nn.Module):
    """Forward pass and hand-written backward pass of one kind of backbone.

    The forward pass gives exactly the numbers of the backbone that it was made from, whose
    parameters it shares.
    """

    def forward(self, frames: Tensor) -> Trace:
        """Normalised frames ``[B, 3, H, W]`` -> trace."""
        raise NotImplementedError

    def channel_weights(self, trace: Trace, labels: Tensor) -> list[Tensor]:
        """:data:`SEED` times mean over positions of d logit[label] / d A_i: four ``[B, C_i]``."""
        raise NotImplementedError

    def head_rows(self, head: nn.Linear, labels: Tensor) -> Tensor:
        """Gradient of logit[label] at the pooled feature, scaled: ``[B, width]``."""
        return torch.index_select(head.weight, 0, labels) * SEED
