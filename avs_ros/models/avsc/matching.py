"""Which query answers for which thing: the cheapest one-to-one assignment."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from avs_ros.models.avsc.outputs import Target

CLASS_WEIGHT, BCE_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 5.0
# Stands for a cost that is not finite; a diverged loss is the trainer's to report.
_WORST = 1e6


def pairwise_costs(
    class_logits: Tensor,
    mask_logits: Tensor,
    target: Target,
    class_weight: float = CLASS_WEIGHT,
    bce_weight: float = BCE_WEIGHT,
    dice_weight: float = DICE_WEIGHT,
) -> Tensor:
    """``-a p_i(c_j) + b BCE(m_i, g_j) + c Dice(m_i, g_j)``, ``[N, M]``.

    ``class_logits`` ``[N, K + 1]``, ``mask_logits`` ``[N, h, w]``; cells that are not known count
    for nothing.  MaskFormer's matching cost (Cheng et al., NeurIPS 2021, section 3.2).
    """
    probability = class_logits.softmax(dim=1)[:, target.classes]
    logits, truth = mask_logits.flatten(1), target.masks.flatten(1).to(mask_logits)
    known = torch.ones_like(logits[0]) if target.known is None else target.known.flatten()
    known = known.to(logits)
    truth = truth * known
    # BCE(x, g) = softplus(x) - x g, summed over cells in two products.
    bce = (functional.softplus(logits) @ known)[:, None] - logits @ truth.T
    bce = bce / known.sum().clamp(min=1)
    marked = logits.sigmoid() * known
    both = marked @ truth.T
    dice = 1 - (2 * both + 1) / (marked.sum(dim=1)[:, None] + truth.sum(dim=1)[None] + 1)
    return -class_weight * probability + bce_weight * bce + dice_weight * dice


@torch.no_grad()
def match(
    class_logits: Tensor, mask_logits: Tensor, target: Target, **weights: float
) -> tuple[Tensor, Tensor]:
    """Queries and the things they answer for, int64 ``[min(N, M)]`` each (Hungarian method).

    Arguments as for :func:`pairwise_costs`, one image.
    """
    device = class_logits.device
    if not len(target.classes):
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        return nothing, nothing
    costs = pairwise_costs(class_logits, mask_logits, target, **weights).double().cpu().numpy()
    rows, columns = linear_sum_assignment(np.nan_to_num(costs, nan=_WORST, posinf=_WORST))
    return torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)
