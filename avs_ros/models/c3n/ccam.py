"""CCAM: let the unified label choose channels, and these the places (paper; no parameters).

Between C3IM and CCAM stand the class-activated weights, how much each channel of a stage speaks
for the unified label (paper, figure 2; Grad-CAM's channel weights).
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.models.c3n.backbone import Taps


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


def class_activated_weights(
    taps: Taps, labels: Tensor, keep_graph: bool = False
) -> tuple[Tensor, ...]:
    """w_i = mean over positions of d logit[label] / d A_i, for the four stages.

    ``taps``: from a backbone that treats the frames of a batch independently (batch norm in
    eval mode), so that one backward of the summed logits serves them all.  ``labels``: int64
    ``[B]``.  Returns four ``[B, C_i]``; constants, no gradient passes through them.
    ``keep_graph``: the taps will be back-propagated through again (training).
    """
    with torch.enable_grad():
        score = taps.logits.gather(1, labels[:, None]).sum()
    gradients = torch.autograd.grad(score, taps.activations, retain_graph=keep_graph)
    return tuple(gradient.mean(dim=(2, 3)).detach() for gradient in gradients)
