"""How well the segmenter finds what could sound, on scenes that were kept away from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from avs_ros.models.avsc import SegmenterOutput, Target

# Confidence from which a query counts, and the share of the scene from which a thing is scored.
CONFIDENT, LARGE = 0.4, 0.005


def scores(outputs: Sequence[SegmenterOutput], targets: Sequence[Target]) -> Mapping[str, float]:
    """``val_miou``: mean IoU of the categories' attended masks were the sound known;
    ``val_others``: without the first category (person); ``val_recall``: share of vouched instances
    that some query of the right class meets with IoU above 0.5; ``val_spurious``: confident
    queries per scene that meet none of its things.
    """
    categories: list[tuple[int, float]] = []
    met: list[bool] = []
    spurious = 0
    for output, target in zip(outputs, targets, strict=True):
        probability = output.class_logits[0].softmax(-1)
        masks = output.mask_logits[0].sigmoid()
        known = target_known(target) > 0
        categories.extend(_by_category(probability, masks, target, known))
        best, label = probability[:, :-1].max(-1)
        overlap = _overlaps(masks, target, known)
        right = (best > CONFIDENT)[:, None] & (label[:, None] == target.classes)
        for j in range(len(target.classes)):
            if not bool(target.silent[j]) and float(target.masks[j].mean()) >= LARGE:
                met.append(bool((right[:, j] & (overlap[:, j] > 0.5)).any()))
        inside = (masks * known).sum((1, 2)) > 0.5 * masks.sum((1, 2))
        hit = overlap.amax(1) > 0.3 if len(target.classes) else torch.zeros(len(best)) > 0
        spurious += int(((best > CONFIDENT) & inside & ~hit).sum())
    others = [value for category, value in categories if category > 0]
    return {
        "val_miou": float(np.mean([value for _, value in categories] or [0.0])),
        "val_others": float(np.mean(others or [0.0])),
        "val_recall": float(np.mean(met or [False])),
        "val_spurious": spurious / max(1, len(outputs)),
    }


def target_known(target: Target) -> Tensor:
    """Where it is known what is there, 0|1 ``[h, w]``."""
    return torch.ones(target.masks.shape[1:]) if target.known is None else target.known


def _by_category(
    probability: Tensor, masks: Tensor, target: Target, known: Tensor
) -> list[tuple[int, float]]:
    found = []
    for category in sorted(set(target.classes.tolist())):
        true = target.masks[target.classes == category].amax(0) > 0.5
        if float(true.float().mean()) < 2 * LARGE:
            continue
        attended = torch.einsum("n,nhw->hw", probability[:, category], masks).clamp(0, 1)
        marked = (attended > CONFIDENT) & known
        union = ((marked | true) & known).sum().clamp(min=1)
        found.append((category, float((marked & true & known).sum() / union)))
    return found


def _overlaps(masks: Tensor, target: Target, known: Tensor) -> Tensor:
    """IoU of each query's mask with each thing, ``[N, M]``."""
    marked = ((masks > 0.5) & known).flatten(1).float()
    true = ((target.masks > 0.5) & known).flatten(1).float()
    both = marked @ true.T
    return both / (marked.sum(1)[:, None] + true.sum(1)[None] - both).clamp(min=1)
