"""The silent-object-aware objective: what nobody annotated is not taught to be nothing.

In audio-visual data only the sounding object carries a mask.  MaskFormer's loss charges every
query without a mask for not saying "no object", and so teaches that a silent dog is nothing: a
prior against things instead of a judgement of sounds.  The paper's formula is not public; the
three modes here are readings of its purpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from avs_ros.errors import ParameterError
from avs_ros.models.avsc.segmenter import SegmenterOutput

CLASS_WEIGHT, BCE_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 5.0
# Of an unmatched query, of a silent thing, and of each earlier layer.
NO_OBJECT, SILENT_WEIGHT, AUXILIARY_WEIGHT = 0.1, 0.5, 0.5
# Category probability and mean probability of a mask's own cells from which an unmatched query
# looks like an object.
PLAUSIBLE_CLASS, PLAUSIBLE_MASK = 0.5, 0.7
# Above this IoU with an annotated thing it is a second opinion on that thing, and charged.
SAME_THING = 0.5
# Stands for a cost that is not finite; a diverged loss is the trainer's to report.
_WORST = 1e6
_NEARLY_ONE = 1.0 - 1e-5
MODES = ("plain", "ignore", "pseudo", "frozen")
Losses = dict[str, Tensor]


class Target(NamedTuple):
    """The M things of one image that training knows of.

    ``classes``: int64 ``[M]``, 0..K-1.  ``masks``: 0|1 float ``[M, h, w]``, in cells of the
    output.  ``silent``: bool ``[M]``, true for a potential sounding object that no annotation
    vouches for (a pseudo-label).
    """

    classes: Tensor
    masks: Tensor
    silent: Tensor


def pairwise_costs(class_logits: Tensor, mask_logits: Tensor, target: Target) -> Tensor:
    """``-a p_i(c_j) + b BCE(m_i, g_j) + c Dice(m_i, g_j)``, ``[N, M]``.

    ``class_logits`` ``[N, K + 1]``, ``mask_logits`` ``[N, h, w]``.  MaskFormer's matching cost
    (Cheng et al., NeurIPS 2021, section 3.2).
    """
    probability = class_logits.softmax(dim=1)[:, target.classes]
    logits, truth = mask_logits.flatten(1), target.masks.flatten(1).to(mask_logits)
    # BCE(x, g) = softplus(x) - x g, summed over cells in two products.
    bce = functional.softplus(logits).sum(dim=1)[:, None] - logits @ truth.T
    bce = bce / logits.shape[1]
    marked = logits.sigmoid()
    both = marked @ truth.T
    dice = 1 - (2 * both + 1) / (marked.sum(dim=1)[:, None] + truth.sum(dim=1)[None] + 1)
    return -CLASS_WEIGHT * probability + BCE_WEIGHT * bce + DICE_WEIGHT * dice


@torch.no_grad()
def match(class_logits: Tensor, mask_logits: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Queries and the things they answer for, int64 ``[min(N, M)]`` each (Hungarian method).

    Arguments as for :func:`pairwise_costs`, one image.
    """
    device = class_logits.device
    if not len(target.classes):
        nothing = torch.zeros(0, dtype=torch.long, device=device)
        return nothing, nothing
    costs = pairwise_costs(class_logits, mask_logits, target).double().cpu().numpy()
    rows, columns = linear_sum_assignment(np.nan_to_num(costs, nan=_WORST, posinf=_WORST))
    return torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)


def silent_aware_loss(
    output: SegmenterOutput, targets: list[Target], mode: str = "pseudo"
) -> Losses:
    """Weighted losses "class", "bce" and "dice", to be added up.

    ``mode``: "plain", MaskFormer's loss over the annotated things, for comparison; "ignore",
    queries that look like an object of which nobody knows are not charged; "pseudo", silent things
    found by another network are targets of less weight; "frozen", the segmenter learns nothing
    here at all (it was trained elsewhere), every loss is 0.  Raises ParameterError for another
    mode.
    """
    if mode not in MODES:
        raise ParameterError(f"mode is {mode!r}; choose one of {', '.join(MODES)}")
    zero = output.class_logits.new_zeros(())
    total: Losses = {"class": zero, "bce": zero, "dice": zero}
    if mode == "frozen":
        return total
    if mode != "pseudo":
        targets = [annotated(target) for target in targets]
    layers = [(pair, AUXILIARY_WEIGHT) for pair in output.auxiliary]
    for (classes, masks), weight in [*layers, ((output.class_logits, output.mask_logits), 1.0)]:
        for name, value in _layer_losses(classes, masks, targets, mode).items():
            total[name] = total[name] + weight * value
    return total


def _layer_losses(classes: Tensor, masks: Tensor, targets: list[Target], mode: str) -> Losses:
    """Means over the images of one layer's answers, times their weights."""
    entropy = charged = bce = dice = things = classes.new_zeros(())
    for class_logits, mask_logits, target in zip(classes, masks, targets, strict=False):
        queries, matched = match(class_logits.detach(), mask_logits.detach(), target)
        charge = torch.full_like(class_logits[:, 0], NO_OBJECT)
        if mode == "ignore":
            excused = plausible(class_logits, mask_logits, target)
            charge = charge * (~excused).to(charge.dtype)
        wanted = torch.full_like(charge, class_logits.shape[1] - 1, dtype=torch.long)
        if len(queries):
            own = torch.where(target.silent[matched], SILENT_WEIGHT, 1.0).to(charge)
            wanted[queries] = target.classes[matched]
            charge = charge.index_put((queries,), own)
            logits = mask_logits[queries]
            truth = target.masks[matched].to(logits)
            cells = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
            marked = logits.sigmoid()
            both = (marked * truth).sum(dim=(1, 2))
            sizes = marked.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
            bce = bce + (own * cells.mean(dim=(1, 2))).sum()
            dice = dice + (own * (1 - (2 * both + 1) / (sizes + 1))).sum()
            things = things + own.sum()
        each = functional.cross_entropy(class_logits, wanted, reduction="none")
        entropy = entropy + (charge * each).sum()
        charged = charged + charge.sum()
    return {
        "class": CLASS_WEIGHT * entropy / charged.clamp(min=1),
        "bce": BCE_WEIGHT * bce / things.clamp(min=1),
        "dice": DICE_WEIGHT * dice / things.clamp(min=1),
    }


def annotated(target: Target) -> Target:
    """``target`` without its silent things: what an annotation of sounding objects says."""
    kept = ~target.silent
    return Target(target.classes[kept], target.masks[kept], target.silent[kept])


@torch.no_grad()
def plausible(class_logits: Tensor, mask_logits: Tensor, target: Target) -> Tensor:
    """Queries that look like an object of which the annotation says nothing: bool ``[N]``.

    Sure of a category, sure of their own cells, and not over an annotated thing.
    """
    sure = class_logits.softmax(dim=1)[:, :-1].amax(dim=1) >= PLAUSIBLE_CLASS
    soft = mask_logits.sigmoid()
    marked = (soft > 0.5).to(soft.dtype).flatten(1)
    area = marked.sum(dim=1)
    crisp = (soft.flatten(1) * marked).sum(dim=1) / area.clamp(min=1) >= PLAUSIBLE_MASK
    if not len(target.classes):
        return sure & crisp & (area > 0)
    truth = target.masks.flatten(1).to(soft)
    both = marked @ truth.T
    union = area[:, None] + truth.sum(dim=1)[None] - both
    overlap = (both / union.clamp(min=1)).amax(dim=1)
    return sure & crisp & (area > 0) & (overlap <= SAME_THING)


def correlation_loss(attended: Tensor, truth: Tensor) -> Tensor:
    """BCE + Dice of the attended mask against the sounding object: ``[B, h, w]`` each, 0..1.

    ``truth``: binary, empty where nothing visible sounds (then Dice has no say).
    """
    p = attended.clamp(1e-5, _NEARLY_ONE)
    loss = functional.binary_cross_entropy(p, truth)
    area = truth.sum(dim=(1, 2))
    dice = 1 - (2 * (p * truth).sum(dim=(1, 2)) + 1) / (p.sum(dim=(1, 2)) + area + 1)
    present = (area > 0).to(dice.dtype)
    return loss + (dice * present).sum() / present.sum().clamp(min=1)
