"""BCE + Dice on mask logits, as the authors of C3N train."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avs_ros.errors import ParameterError


def dice_loss(probability: Tensor, masks: Tensor) -> Tensor:
    """1 - mean over frames of 2 (sum(p m) + 1) / (sum p + sum m + 1).

    The authors add the smoothing inside the doubled numerator, so a perfect mask scores slightly
    above 1 and an empty one 2: the loss can fall below 0, down to -1.
    """
    p, m = probability.flatten(1), masks.flatten(1)
    score = 2.0 * ((p * m).sum(1) + 1.0) / (p.sum(1) + m.sum(1) + 1.0)
    return 1.0 - score.mean()


def supervised_frames(count: int, frames_per_clip: int, supervise: str) -> Tensor:
    """Indices of the frames that count: ``first`` of each clip (S4) or ``all`` (MS3)."""
    if supervise == "all":
        return torch.arange(count)
    if supervise == "first":
        return torch.arange(0, count, frames_per_clip)
    raise ParameterError(f"supervise is {supervise!r}; choose first or all")


def segmentation_loss_parts(
    logits: Tensor,
    masks: Tensor,
    *,
    supervise: str = "all",
    frames_per_clip: int = 5,
    bce_weight: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """``(weighted BCE, Dice)`` of logits and 0|1 masks, both ``[N, 1, h, w]`` or ``[N, h, w]``.

    BCE works on probabilities with logarithms clamped at -100, as the authors' does: a wrong
    pixel with a logit beyond that costs 100.
    """
    if logits.shape != masks.shape:
        raise ParameterError(
            f"logits {list(logits.shape)} and masks {list(masks.shape)} must have the same shape"
        )
    chosen = supervised_frames(len(logits), frames_per_clip, supervise).to(logits.device)
    probability, masks = logits[chosen].sigmoid(), masks[chosen].to(logits.dtype)
    bce = functional.binary_cross_entropy(probability, masks)
    return bce_weight * bce, dice_loss(probability, masks)


def segmentation_loss(
    logits: Tensor,
    masks: Tensor,
    *,
    supervise: str = "all",
    frames_per_clip: int = 5,
    bce_weight: float = 1.0,
) -> Tensor:
    """The sum of :func:`segmentation_loss_parts`: what training minimises."""
    bce, dice = segmentation_loss_parts(
        logits,
        masks,
        supervise=supervise,
        frames_per_clip=frames_per_clip,
        bce_weight=bce_weight,
    )
    return bce + dice
