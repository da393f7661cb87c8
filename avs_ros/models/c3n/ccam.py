"""CCAM: let the unified label choose channels, and these the places (paper; no parameters)."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def cognitive_consensus_attention(feature: Tensor, weights: Tensor) -> Tensor:
    """Cognitive Consensus guided Attention Module, one stage.

    ``feature`` x ``[B, C, h, w]``: the normed stage output.  ``weights`` w ``[B, C]``:
    class-activated channel weights; only their direction matters.

        x' = x * sigmoid(w / max(|w|, 1e-12)),   out = x' * sigmoid(mean over channels of x')

    Returns ``[B, C, h, w]``.
    """
    # In half precision the square of a weight of 1e-4 is 0.
    wide = weights.float() if weights.dtype == torch.float16 else weights
    gate = torch.sigmoid(functional.normalize(wide, dim=1, eps=1e-12)).to(feature.dtype)
    chosen = feature * gate[:, :, None, None]
    return chosen * torch.sigmoid(chosen.mean(dim=1, keepdim=True))
