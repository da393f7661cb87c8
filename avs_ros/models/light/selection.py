"""Which category sounds: a learned similarity between what can be marked and AudioSet's classes
says what is heard; that and visible evidence are weighed by one small shared judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

FLOOR = 1e-6
TOP_SHARE = 0.02
# Logit of what cannot be a companion: the first category itself.
NEVER = -30.0
RIVAL_REACH = 8.0
_MOST_ODDS = math.log(1e5 - 1)


class ClassAudioAffinity(nn.Module):
    """C3N's label similarity M_sim, learned, and its maximum made soft.

        z_v = gain_v log(sum_j exp(L_vj) sigmoid(a_j)) + bias_v

    ``L`` ``[V, 527]`` is the log-affinity of sound class v and AudioSet class j.  A sound class
    points at the category (map) whose pixels make it; several sound classes may share one.
    """

    sound_class_category: Tensor

    def __init__(self, sound_class_category: Sequence[int], categories: int) -> None:
        super().__init__()
        self.categories = categories
        self.log_affinity = nn.Parameter(torch.zeros(len(sound_class_category), 527))
        self.gain = nn.Parameter(torch.ones(len(sound_class_category)))
        self.bias = nn.Parameter(torch.zeros(len(sound_class_category)))
        self.register_buffer(
            "sound_class_category", torch.tensor(list(sound_class_category)), persistent=False
        )

    def forward(self, audio_logits: Tensor) -> Tensor:
        """AudioSet logits ``[B, 527]`` -> sound class logits ``[B, V]``."""
        scores = torch.log(torch.sigmoid(audio_logits) @ self.log_affinity.exp().T + FLOOR)
        return self.gain * scores + self.bias

    def by_category(self, sound_classes: Tensor) -> Tensor:
        """Sound class logits ``[B, V]`` -> the loudest sound class of each category ``[B, K]``."""
        out = sound_classes.new_full((sound_classes.shape[0], self.categories), -20.0)
        index = self.sound_class_category.expand(sound_classes.shape[0], -1)
        return out.scatter_reduce(1, index, sound_classes, "amax")


class CategoryMasks(nn.Module):
    """Each category's log-odds against all others and nothing (0).

    In float32 also where the network is in half precision, whose largest number is exp(11).
    """

    keep_single = True

    def forward(
        self, semantic: Tensor, lift: Tensor, overlaps: Tensor, heard: Tensor | None = None
    ) -> Tensor:
        """``semantic`` ``[B, K, h, w]`` and ``lift`` ``[B, 1, h, w]`` -> ``[B, K, h, w]``.

        With ``heard`` ``[B, K]`` a rival that may hold the category (``overlaps`` ``[K, K]``)
        counts less where it is heard less: the sound decides whether it is the guitar or the
        guitarist.
        """
        wide = semantic.float() if semantic.dtype == torch.float16 else semantic
        if heard is None:
            odds = _odds_against_all(functional.pad(wide, (0, 0, 0, 0, 0, 1)))[:, :-1]
        else:
            # Row k, column j: how far rival j is put back when k is asked about.
            put_back = (heard[:, None, :] - heard[:, :, None]).clamp(-RIVAL_REACH, 0.0) * overlaps
            wide = wide.clamp(-20, 20)
            strength = wide.exp()
            share = put_back.exp().to(wide.dtype)
            rivals = torch.einsum("bkj,bjhw->bkhw", share, strength) - strength
            odds = wide - (1.0 + rivals.clamp(min=0)).log()
        return odds.to(semantic.dtype) + lift


def _odds_against_all(scores: Tensor) -> Tensor:
    """Log-odds of each channel's softmax ``[B, K, h, w]``, within those of 1e-5 and 1 - 1e-5.

    Not by way of the softmax: near 1 its last bit is worth a hundredth of the log-odds.
    """
    below = scores - scores.amax(dim=1, keepdim=True)
    strength = below.exp()
    largest = (below == 0).to(below.dtype)
    beside = (strength * (1 - largest)).sum(dim=1, keepdim=True)
    # The bracket is exactly 0 for a single largest channel, whose rivals are all in `beside`.
    rivals = beside + (largest.sum(dim=1, keepdim=True) - strength)
    return (below - rivals.clamp(min=1e-6).log()).clamp(-_MOST_ODDS, _MOST_ODDS)


def visible_evidence(log_odds: Tensor, class_maps: Tensor) -> Tensor:
    """How visible each category is: ``[B, K, h, w]`` twice -> ``[B, K, 3]``.

    Mean log-odds of its best cells, log of its area, and the peak of its class-activated map.
    """
    cells = _cells(log_odds)
    area = torch.sigmoid(cells).mean(dim=2)
    top = _top(cells)
    peak = class_maps.flatten(2).amax(dim=2)
    return torch.stack([top.clamp(-8, 8), (area + 1e-3).log(), peak.clamp(-12, 0)], dim=2)


def raise_to_visible(log_odds: Tensor, least: float = 1.0) -> Tensor:
    """Lift maps whose best cells stay below ``least`` to it: ``[B, K, h, w]`` both ways.

    Whether a category is marked at all is the gate's decision; a map that is right but timid must
    not undo it.
    """
    top = _top(_cells(log_odds))
    return log_odds + (least - top).clamp(min=0.0)[:, :, None, None]


def _cells(log_odds: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, ``[B, K, h w / 4]``: a quarter to sort, and no lone pixel wins."""
    return functional.avg_pool2d(log_odds, 2).flatten(2)


def _top(cells: Tensor) -> Tensor:
    """Mean of the best ones, ``[B, K]``."""
    best = max(1, int(cells.shape[2] * TOP_SHARE))
    return cells.topk(best, dim=2).values.mean(dim=2)


class ScoringMLP(nn.Module):
    """One logit for each category, with weights that all categories share."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)

    def weigh(self, inputs: list[Tensor]) -> Tensor:
        """What is known of each category, ``[B, K]`` each -> logits ``[B, K]``."""
        hidden = torch.relu(self.hidden(torch.stack(inputs, dim=2) * 0.25))
        hidden = torch.relu(self.middle(hidden))
        return self.score(hidden)[..., 0]


class AcceptGate(ScoringMLP):
    """Logit that category k is visible and makes the sound, for every k.

    It sees, for k: the sound class logit, the strongest other category's sound class logit, how
    much of the sound no category claims, and three numbers of visible evidence, its own and those
    of the strongest rival on the image.  ``temperature`` is set by calibration.
    """

    temperature: Tensor

    def __init__(self, hidden: int = 24) -> None:
        super().__init__(8, hidden)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, heard: Tensor, seen: Tensor) -> Tensor:
        """``heard`` ``[B, K]`` sound class logits, ``seen`` ``[B, K, 3]`` -> logits ``[B, K]``."""
        return self.weigh(evidence_inputs(heard.clamp(-12, 12), seen)) / self.temperature


def evidence_inputs(heard: Tensor, seen: Tensor, but: Tensor | None = None) -> list[Tensor]:
    """Eight numbers for each category, ``[B, K]``: what is heard and seen of it and of its rivals.

    ``but``: bool ``[B, K]``, a category that is nobody's rival.
    """
    claimed = heard + seen[..., 0]
    rivals, claims = heard, claimed
    if but is not None:
        rivals, claims = heard.masked_fill(but, -12.0), claimed.masked_fill(but, -20.0)
    rival = _strongest_other(rivals)
    return [
        heard,
        heard - rival,
        rival,
        *seen.unbind(dim=2),
        _strongest_other(claims) - claimed,
        torch.minimum(heard, seen[..., 0]),
    ]


def _strongest_other(values: Tensor) -> Tensor:
    """For each entry of ``[B, K]`` the maximum over the other ones."""
    two = values.topk(2, dim=1)
    first, second = two.values[:, :1], two.values[:, 1:]
    return torch.where(is_at(two.indices[:, :1], values), second, first)


def is_at(index: Tensor, like: Tensor) -> Tensor:
    """Bool ``[B, K]`` of ``like``'s shape: true at ``index`` ``[B, 1]``.

    Compared as whole numbers of ``like``'s type: engines for GPUs narrow integers.
    """
    return torch.arange(like.shape[1], device=like.device).to(like.dtype) == index.to(like.dtype)


class CompanionGate(ScoringMLP):
    """Logit that category k is visible and sounds too, given the first category f, for every k.

    One sound makes the audio encoder think of several classes, and the loudest hides the others.
    So a second category is asked about apart, against what the first one alone lets it hear.

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
