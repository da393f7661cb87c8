"""Teaching the accept gate when to believe that something visible makes the sound.

What it learns from is in :mod:`evidence`; what sounds beside the first, in :mod:`companions`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.errors import DatasetError
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, VEHICLES
from recipes.c3n_light.audio_stage import sound_class_loss, sound_classes_without_recordings
from recipes.c3n_light.evidence import Evidence, GateDataset, Sounds, visible_categories
from recipes.c3n_light.images import IGNORE, load
from recipes.c3n_light.visual_stage import pixels, see

LIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# Share of the gate's pairs that are weakened, and the noise on its evidence: best of what was
# tried on held-out pairs.
WEAKENED, DOUBT = 0.2, 1.1
# The threshold is the lowest that leaves this share of mismatched pairs empty.
EMPTY_ON_MISMATCH = 0.92


@torch.no_grad()
def lift_maps(net: LightC3N, work: Path) -> dict[str, float]:
    """Raise the maps of vehicles and of all other categories by what serves held-out masks best.

    Categories of few images are timid: right in place, too small.  Moves the semantic bias in
    place and returns both steps (log-odds).
    """
    net.eval()
    table, images, masks = load(work)
    size = net.image_size
    scores: dict[str, list[list[float]]] = {name: [] for name in ("vehicles", "others")}
    for i in (i for i, image in enumerate(table) if image.held_out):
        small = cv2.resize(images[i], (size, size), interpolation=cv2.INTER_AREA)
        semantic, _, _ = see(net, pixels(small[None]))
        maps = net.masks(semantic, semantic.new_zeros(1, 1, *semantic.shape[2:]))[0]
        known = masks[i] != IGNORE
        for k in np.nonzero(visible_categories(masks[i]) > 0)[0]:
            log_odds = cv2.resize(maps[k].numpy(), masks[i].shape[::-1])
            own = masks[i] == k + 1
            group = "vehicles" if CATEGORY_NAMES[k] in VEHICLES else "others"
            found = [(log_odds > -lift) & known for lift in LIFTS]
            scores[group].append([(f & own).sum() / max((f | own).sum(), 1) for f in found])
    best = {
        group: float(LIFTS[int(np.argmax(np.mean(values, axis=0)))]) if values else 0.0
        for group, values in scores.items()
    }
    bias = net.semantic.bias
    assert bias is not None
    bias += torch.tensor([best["vehicles" if n in VEHICLES else "others"] for n in CATEGORY_NAMES])
    return best


def shared_categories(images: Evidence, sounds: Sounds) -> tuple[Tensor, Tensor]:
    """How many categories an image shows that a sound is of ``[N, M]``, and which pairs are held
    out (bool ``[N, M]``; they share none).
    """
    shared = (images.visible > 0).float() @ (sounds.truth > 0).float().T
    apart = (images.visible != 0).float() @ sounds.barred.T > 0
    return shared.masked_fill(apart, 0.0), apart


class EvenDraw:
    """Draws from (image, sound) pairs ``[N, 2]``, each by how rare its sound is among them."""

    def __init__(self, pairs: Tensor) -> None:
        self._pairs, self.size = pairs, len(pairs)
        if self.size:
            self._up_to = (1.0 / pairs[:, 1].bincount().double()[pairs[:, 1]]).cumsum(0)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` images and their sounds (indices)."""
        draw = torch.rand(count, generator=generator, dtype=torch.double) * self._up_to[-1]
        pick = torch.searchsorted(self._up_to, draw).clamp(max=self.size - 1)
        images, sounds = self._pairs[pick].unbind(1)
        return images, sounds


class Pairs:
    """Images x sounds; which of them match is found once, then any number is drawn.

    Pairs that are held out count as unknown.  Raises DatasetError where nothing matches.
    """

    def __init__(self, images: Evidence, sounds: Sounds) -> None:
        self._images, self._sounds = images, sounds
        shared, self._apart = shared_categories(images, sounds)
        self._matched = EvenDraw(torch.nonzero(shared))
        if not self._matched.size:
            raise DatasetError(
                "no sound is made by anything that the images show: set more gate_images and "
                "gate_sounds, or add data"
            )

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """``count`` pairs, half of them matched: (sound, seen, target with -1 for unknown)."""
        images, sounds = self._images, self._sounds
        a = torch.randint(len(images.seen), (count,), generator=generator)
        b = torch.randint(len(sounds.logits), (count,), generator=generator)
        a[: count // 2], b[: count // 2] = self._matched.draw(count // 2, generator)
        target = targets(images.visible[a], sounds.truth[b])
        target = torch.where(self._apart[a, b][:, None], -1.0, target)
        return b, images.seen[a], target


def targets(visible: Tensor, truth: Tensor) -> Tensor:
    """What is visible and the sounding object, ``[N, K]`` each -> 1 both, 0 not both, -1
    unknown.
    """
    both = torch.where((visible > 0) & (truth > 0), 1.0, 0.0)
    unknown = ((visible < 0) & (truth != 0)) | ((truth < 0) & (visible != 0))
    return torch.where(unknown, -1.0, both)


def weaken(seen: Tensor, generator: torch.Generator) -> Tensor:
    """Now and then maps fall short of what the class head knows, as on new kinds of things."""
    short = 6 * torch.rand(len(seen), 1, generator=generator)
    short = short * (torch.rand(len(seen), 1, generator=generator) < WEAKENED)
    seen = seen.clone()
    seen[..., 0] = (seen[..., 0] - short).clamp(min=-8)
    seen[..., 1] = (seen[..., 1] - 0.4 * short).clamp(min=-6.9)
    return seen


def gate_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy over known categories; a positive weighs as much as 4 negatives."""
    known = (target >= 0).float()
    weight = known * torch.where(target > 0, 4.0, 1.0)
    loss = functional.binary_cross_entropy_with_logits(logits, target.clamp(0), reduction="none")
    return (loss * weight).sum() / weight.sum()


def train_gate(
    net: LightC3N,
    dataset: GateDataset,
    report: Callable[[str], None],
    seed: int = 3,
    steps: int = 1500,
) -> None:
    """Train gate and affinity in place, ``steps`` batches of pairs."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    sounds = dataset.alone.and_also(dataset.mixed)
    pairs = Pairs(dataset.images, sounds)
    net.gate.temperature.fill_(1.0)
    before = net.affinity.log_affinity.detach().clone()
    trained = [*net.gate.parameters(), *net.affinity.parameters()]
    unrecorded = sound_classes_without_recordings()
    optimiser = torch.optim.AdamW(trained, lr=5e-3, weight_decay=0.0)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        b, seen, target = pairs.draw(256, generator)
        sound_classes = net.affinity(sounds.logits[b])
        heard = net.affinity.by_category(sound_classes)
        # Unseen images and sounds give weaker evidence than those that were learned from.
        heard = heard + DOUBT * torch.randn(heard.shape, generator=generator)
        seen = weaken(seen + DOUBT * torch.randn(seen.shape, generator=generator), generator)
        loss = gate_loss(net.gate(heard, seen), target)
        loss = loss + 0.3 * sound_class_loss(sound_classes, sounds.sound_classes[b])
        loss = loss + 0.01 * (net.affinity.log_affinity - before).square().mean(1).sum()
        optimiser.zero_grad()
        loss.backward()
        for part in net.affinity.parameters():
            if part.grad is not None:
                part.grad[unrecorded] = 0.0
        optimiser.step()
        if step % 500 == 499:
            report(f"gate step {step + 1}, loss {loss.item():.3f}")


@torch.no_grad()
def calibrate(
    net: LightC3N, images: Evidence, sounds: Sounds, report: Callable[[str], None], seed: int = 4
) -> dict[str, float]:
    """Temperature by likelihood, threshold by the share of empty mismatches (held-out)."""
    generator = torch.Generator().manual_seed(seed)
    b, seen, target = Pairs(images, sounds).draw(8000, generator)
    heard = net.affinity.by_category(net.affinity(sounds.logits))[b]
    logits = net.gate(heard, seen)
    temperatures = torch.linspace(0.5, 4.0, 36)
    losses = [float(gate_loss(logits / t, target)) for t in temperatures]
    net.gate.temperature.fill_(float(temperatures[int(np.argmin(losses))]))
    probability = torch.sigmoid(net.gate(heard, seen))
    matched = (target > 0).any(1)
    negative = ~matched & (target >= 0).all(1)
    best, table = 0.5, []
    for threshold in np.arange(0.2, 0.96, 0.025):
        right = ((probability >= threshold) & (target > 0)).any(1)[matched].float().mean()
        empty = (probability[negative] < threshold).all(1).float().mean()
        table.append((float(threshold), float(right), float(empty)))
    acceptable = [row for row in table if row[2] >= EMPTY_ON_MISMATCH]
    best = acceptable[0][0] if acceptable else table[-1][0]
    for row in table:
        report(f"threshold {row[0]:.2f}: found {row[1]:.3f}, empty on mismatch {row[2]:.3f}")
    return {"temperature": float(net.gate.temperature), "threshold": round(best, 3)}
