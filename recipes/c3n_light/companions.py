"""Teaching the companion gate what sounds beside the first, with two things in view."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.inference.light import ALONE
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import CompanionGate
from recipes.c3n_light.evidence import Evidence, GateDataset, Sounds
from recipes.c3n_light.gate_training import EvenDraw, Pairs, shared_categories, targets

# Noise on the evidence: less than for the first gate, as the first category stands already.
DOUBT = 0.7
POSITIVE_WEIGHT = 2.0
# What a category lets the audio encoder hear is mixed with so many sounds of no category in
# particular.
PRIOR_COUNT = 5
LEAST_SOUNDS = 16
# Share of one-sound pairs, the first accepted rightly, to which a second may be added wrongly.
MOST_WRONG = 0.02


class Rounds:
    """Pairs of images and sounds, half with two categories seen and heard, half with one heard."""

    def __init__(self, images: Evidence, sounds: Sounds, heard: Tensor) -> None:
        """``heard``: ``[M, K]`` category logits of ``sounds``."""
        self._images, self._sounds, self._heard = images, sounds, heard
        shared, _ = shared_categories(images, sounds)
        self._kinds = EvenDraw(torch.nonzero(shared >= 2)), EvenDraw(torch.nonzero(shared == 1))

    @property
    def sizes(self) -> tuple[int, int]:
        """How many pairs there are of two that sound, and of one."""
        two, one = self._kinds
        return two.size, one.size

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` pairs: heard ``[N, K]``, seen ``[N, K, 3]``, target (-1 unknown)."""
        drawn = [kind.draw(count // 2, generator) for kind in self._kinds]
        a, b = (torch.cat(indices) for indices in zip(*drawn, strict=True))
        target = targets(self._images.visible[a], self._sounds.truth[b])
        return self._heard[b], self._images.seen[a], target


def usually_heard(heard: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """What each category alone lets the audio encoder hear: ``[M, K]`` twice -> mean, deviation
    ``[K, K]``.
    """
    mean, deviation = heard.mean(0), heard.std(0)
    usual, spread = [], []
    for category in range(heard.shape[1]):
        own = heard[truth[:, category] > 0]
        n = len(own) + PRIOR_COUNT
        usual.append((own.sum(0) + PRIOR_COUNT * mean) / n)
        square = (own - own.mean(0)).square().sum(0) if len(own) else torch.zeros_like(mean)
        spread.append(((square + PRIOR_COUNT * deviation.square()) / n).sqrt())
    return torch.stack(usual), torch.stack(spread)


def train_companion(
    net: LightC3N, dataset: GateDataset, report: Callable[[str], None], seed: int = 3,
    steps: int = 2500,
) -> None:  # fmt: skip
    """Give ``net`` a companion gate, trained by ``steps`` batches; gate and affinity stay.

    Where no training scene shows two things that are heard together it gets none.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        alone = _heard(net, dataset.alone)
        both = dataset.alone.and_also(dataset.mixed)
        rounds = Rounds(dataset.images, both, torch.cat([alone, _heard(net, dataset.mixed)]))
    if min(rounds.sizes) < LEAST_SOUNDS:
        report("no scenes of two things that are heard together: one category at a time is marked")
        net.companion = None
        return
    gate = CompanionGate(alone.shape[1])
    gate.usual, gate.spread = usually_heard(alone, dataset.alone.truth)
    optimiser = torch.optim.AdamW(gate.parameters(), lr=5e-3, weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        heard, seen, target = rounds.draw(384, generator)
        heard = heard + DOUBT * torch.randn(heard.shape, generator=generator)
        seen = seen + DOUBT * torch.randn(seen.shape, generator=generator)
        with torch.no_grad():
            first = net.gate(heard, seen).masked_fill(target <= 0, -torch.inf).argmax(1)
        loss = companion_loss(gate(heard, seen, first), target, first)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 500 == 499:
            report(f"companion step {step + 1}, loss {loss.item():.3f}")
    net.companion = gate


def companion_loss(logits: Tensor, target: Tensor, first: Tensor) -> Tensor:
    """Binary cross-entropy over the known categories other than the first, ``[N]``."""
    weight = torch.where(target > 0, POSITIVE_WEIGHT, 1.0) * (target >= 0)
    weight = weight.scatter(1, first[:, None], 0.0)
    loss = functional.binary_cross_entropy_with_logits(logits, target.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum()


@torch.no_grad()
def calibrate_companion(
    net: LightC3N, images: Evidence, sounds: Sounds, threshold: float, seed: int = 4
) -> float:
    """The threshold that adds a second category wrongly to ``MOST_WRONG`` of the pairs (held-out).

    ``threshold``: the first gate's; ``sounds``: single ones.
    """
    if net.companion is None:
        return ALONE
    generator = torch.Generator().manual_seed(seed)
    b, seen, target = Pairs(images, sounds).draw(8000, generator)
    heard = _heard(net, sounds)[b]
    gate = net.gate(heard, seen)
    first = gate.argmax(1, keepdim=True)
    right = (target.gather(1, first) > 0) & (torch.sigmoid(gate.gather(1, first)) >= threshold)
    companion_logits = (
        torch.sigmoid(net.companion_logits(gate, heard, seen))
        .masked_fill(target != 0, 0.0)
        .amax(1)
    )
    wrong = companion_logits[right[:, 0]]
    if not len(wrong):
        return ALONE
    return round(float(wrong.quantile(1.0 - MOST_WRONG).clamp(0.5, 0.99)), 3)


def _heard(net: LightC3N, sounds: Sounds) -> Tensor:
    return net.affinity.by_category(net.affinity(sounds.logits))
