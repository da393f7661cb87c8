"""Class-activated weights: how much each channel of a stage speaks for the unified label.

The step between C3IM and CCAM in the paper's figure 2 (Grad-CAM's channel weights).
"""

from __future__ import annotations

import torch
from torch import Tensor

from avs_ros.models.c3n.backbone import Taps


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
