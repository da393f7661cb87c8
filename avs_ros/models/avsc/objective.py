"""The silent-object-aware objective: what nobody annotated is not taught to be nothing.

In audio-visual data only the sounding object carries a mask.  MaskFormer's loss charges every
query without a mask for not saying "no object", and so teaches that a silent dog is nothing: a
prior against things instead of a judgement of sounds.  The paper's formula is not public; the
three modes here are readings of its purpose.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.errors import ParameterError
from avs_ros.models.avsc.matching import BCE_WEIGHT, CLASS_WEIGHT, DICE_WEIGHT, match
from avs_ros.models.avsc.outputs import SegmenterOutput, Target

MODES = ("plain", "ignore", "pseudo", "frozen")
Losses = dict[str, Tensor]


def silent_aware_loss(
    output: SegmenterOutput,
    targets: list[Target],
    mode: str = "pseudo",
    *,
    class_weight: float = CLASS_WEIGHT,
    bce_weight: float = BCE_WEIGHT,
    dice_weight: float = DICE_WEIGHT,
    no_object: float = 0.1,
    silent_weight: float = 0.5,
    auxiliary_weight: float = 0.5,
    plausible_class: float = 0.5,
    plausible_mask: float = 0.7,
    same_thing: float = 0.5,
) -> Losses:
    """Weighted losses "class", "bce" and "dice", to be added up.

    ``mode``: "plain", MaskFormer's loss over the annotated things, for comparison; "ignore",
    queries that look like an object of which nobody knows are not charged; "pseudo", silent things
    found by another network are targets of weight ``silent_weight``; "frozen", the segmenter
    learns nothing here at all (it was trained elsewhere), every loss is 0.

    ``no_object``: weight of an unmatched query.  ``auxiliary_weight``: of each earlier layer.
    ``plausible_class``, ``plausible_mask``: category probability and mean probability of a mask's
    own cells from which an unmatched query looks like an object; ``same_thing``: IoU with an
    annotated thing above which it is a second opinion on that thing, and charged.
    Raises ParameterError for another mode.
    """
    if mode not in MODES:
        raise ParameterError(f"mode is {mode!r}; choose one of {', '.join(MODES)}")
    zero = output.class_logits.new_zeros(())
    if mode == "frozen":
        return {"class": zero, "bce": zero, "dice": zero}
    if mode != "pseudo":
        targets = [annotated(target) for target in targets]
    weights = {
        "class_weight": class_weight, "bce_weight": bce_weight, "dice_weight": dice_weight
    }  # fmt: skip
    total: Losses = {"class": zero, "bce": zero, "dice": zero}
    layers = [(pair, auxiliary_weight) for pair in output.auxiliary]
    for (classes, masks), weight in [*layers, ((output.class_logits, output.mask_logits), 1.0)]:
        sums = _Sums(zero)
        for row, target in enumerate(targets):
            pair = match(classes[row].detach(), masks[row].detach(), target, **weights)
            charge = torch.full_like(classes[row, :, 0], no_object)
            if mode != "plain":
                excused = on_unknown(masks[row], target)
                if mode == "ignore":
                    least = (plausible_class, plausible_mask, same_thing)
                    excused |= plausible(classes[row], masks[row], target, *least)
                charge = charge * (~excused).to(charge.dtype)
            sums.add(classes[row], masks[row], target, pair, charge, silent_weight)
        for name, value in sums.losses(class_weight, bce_weight, dice_weight).items():
            total[name] = total[name] + weight * value
    return total


def annotated(target: Target) -> Target:
    """``target`` without its silent things: what an annotation of sounding objects says."""
    kept = ~target.silent
    return Target(target.classes[kept], target.masks[kept], target.silent[kept], target.known)


@torch.no_grad()
def on_unknown(mask_logits: Tensor, target: Target) -> Tensor:
    """Queries whose mask lies mostly where nobody knows what is there: bool ``[N]``."""
    marked = mask_logits.sigmoid()
    if target.known is None:
        return torch.zeros(len(marked), dtype=torch.bool, device=marked.device)
    unknown = 1 - target.known.to(marked)
    share = (marked * unknown).sum(dim=(1, 2)) / marked.sum(dim=(1, 2)).clamp(min=1e-3)
    return share > 0.5


@torch.no_grad()
def plausible(
    class_logits: Tensor,
    mask_logits: Tensor,
    target: Target,
    least_class: float,
    least_mask: float,
    same_thing: float,
) -> Tensor:
    """Queries that look like an object of which the annotation says nothing: bool ``[N]``.

    Sure of a category, sure of their own cells, and not over an annotated thing.
    """
    sure = class_logits.softmax(dim=1)[:, :-1].amax(dim=1) >= least_class
    soft = mask_logits.sigmoid()
    marked = (soft > 0.5).to(soft.dtype).flatten(1)
    area = marked.sum(dim=1)
    crisp = (soft.flatten(1) * marked).sum(dim=1) / area.clamp(min=1) >= least_mask
    if not len(target.classes):
        return sure & crisp & (area > 0)
    truth = target.masks.flatten(1).to(soft)
    both = marked @ truth.T
    union = area[:, None] + truth.sum(dim=1)[None] - both
    overlap = (both / union.clamp(min=1)).amax(dim=1)
    return sure & crisp & (area > 0) & (overlap <= same_thing)


class _Sums:
    """Losses of one layer's images, gathered with their weights."""

    def __init__(self, zero: Tensor) -> None:
        self._classes = self._charged = self._bce = self._dice = self._things = zero

    def add(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        target: Target,
        pair: tuple[Tensor, Tensor],
        charge: Tensor,
        silent_weight: float,
    ) -> None:
        """One image: ``pair`` from :func:`match`, ``charge`` ``[N]`` of unmatched queries."""
        queries, things = pair
        wanted = torch.full_like(charge, class_logits.shape[1] - 1, dtype=torch.long)
        if len(queries):
            own = torch.where(target.silent[things], silent_weight, 1.0).to(charge)
            wanted[queries] = target.classes[things]
            charge = charge.index_put((queries,), own)
            logits = mask_logits[queries]
            truth = target.masks[things].to(logits)
            known = torch.ones_like(truth[0]) if target.known is None else target.known.to(logits)
            bce = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
            bce = (bce * known).sum(dim=(1, 2)) / known.sum().clamp(min=1)
            marked, truth = logits.sigmoid() * known, truth * known
            both = (marked * truth).sum(dim=(1, 2))
            sizes = marked.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
            self._bce = self._bce + (own * bce).sum()
            self._dice = self._dice + (own * (1 - (2 * both + 1) / (sizes + 1))).sum()
            self._things = self._things + own.sum()
        entropy = functional.cross_entropy(class_logits, wanted, reduction="none")
        self._classes = self._classes + (charge * entropy).sum()
        self._charged = self._charged + charge.sum()

    def losses(self, class_weight: float, bce_weight: float, dice_weight: float) -> Losses:
        """Means, times their weights."""
        charged, things = self._charged.clamp(min=1), self._things.clamp(min=1)
        return {
            "class": class_weight * self._classes / charged,
            "bce": bce_weight * self._bce / things,
            "dice": dice_weight * self._dice / things,
        }
