"""What the gates learn from: images and sounds turned into evidence, once.

Pairs of them are then free, so that the gates see many thousands: matched, mismatched, silent,
noisy, one thing or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from avs_ros.evaluation.composite import held_out
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import visible_evidence
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES, SOUND_CLASS_CATEGORY
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.audio_stage import SoundSampler, both_targets, last_second
from recipes.c3n_light.distortion import distort, noise, together
from recipes.c3n_light.images import IGNORE, load
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.visual_stage import pixels, see

VISIBLE_SHARE = 0.004
# What the gate learns to accept: the evidence looks at the best 2 % of an image, so of less it
# sees little, and would learn to trust the sound alone.
CLEARLY_VISIBLE_SHARE = 0.03

_Window = tuple[Float, Float, list[bool]]


@dataclass(frozen=True)
class Evidence:
    """``seen`` ``[N, K, 3]``, ``visible`` ``[N, K]``: 1 yes, 0 no, -1 unknown."""

    seen: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Sounds:
    """``logits`` ``[M, 527]``; ``sound_classes`` ``[M, V]``, ``truth`` ``[M, K]``: 1, 0, -1
    unknown.

    ``barred`` ``[M, K]``: 1 for categories that training may not show with the sound.
    """

    logits: Tensor
    sound_classes: Tensor
    truth: Tensor
    barred: Tensor

    def and_also(self, other: Sounds) -> Sounds:
        """These and those."""
        return Sounds(
            torch.cat([self.logits, other.logits]),
            torch.cat([self.sound_classes, other.sound_classes]),
            torch.cat([self.truth, other.truth]),
            torch.cat([self.barred, other.barred]),
        )


@dataclass(frozen=True)
class GateDataset:
    """What is seen in images, and what is heard of single sounds and of two at once."""

    images: Evidence
    alone: Sounds
    mixed: Sounds


def visible_categories(mask: np.ndarray, least: float = VISIBLE_SHARE) -> Float:
    """``[S, S]`` category mask -> ``[K]``: 1 visible, 0 not, -1 cannot be said (below
    ``least``).
    """
    counts = np.bincount(mask.reshape(-1), minlength=256)[1 : len(CATEGORIES) + 1] / mask.size
    out = np.where(counts >= least, 1.0, np.where(counts > 0, -1.0, 0.0))
    if np.mean(mask == IGNORE) > 0.02:
        out = np.where(out == 0, -1.0, out)
    return out.astype(np.float32)


def category_truth(sound_classes: Tensor) -> Tensor:
    """Sound class targets ``[M, V]`` -> category targets ``[M, K]`` (one sound class is
    enough).
    """
    out = torch.full((len(sound_classes), len(CATEGORIES)), -2.0)
    index = torch.tensor(SOUND_CLASS_CATEGORY).expand(len(sound_classes), -1)
    certain = torch.where(sound_classes > 0, 2.0, torch.where(sound_classes < 0, 1.0, 0.0))
    out = out.scatter_reduce(1, index, certain, "amax")
    return torch.where(out > 1.5, 1.0, torch.where(out > 0.5, -1.0, 0.0))


@torch.no_grad()
def look(net: LightC3N, sampler: SceneSampler, count: int) -> Evidence:
    """Evidence of ``count`` augmented scenes."""
    net.eval()
    seen: list[Tensor] = []
    visible: list[Float] = []
    for _ in range(0, count, 8):
        scenes = [sampler.draw() for _ in range(8)]
        frames = pixels(np.stack([scene[0] for scene in scenes]))
        semantic, class_maps, _ = see(net, frames)
        masks = net.masks(semantic, semantic.new_zeros(len(frames), 1, *semantic.shape[2:]))
        seen.append(visible_evidence(masks, class_maps))
        visible.extend(visible_categories(scene[1], CLEARLY_VISIBLE_SHARE) for scene in scenes)
    return Evidence(torch.cat(seen), torch.from_numpy(np.stack(visible)))


@torch.no_grad()
def look_at_held_out(net: LightC3N, work: Path) -> Evidence:
    """Evidence of the held-out images as they are, and mirrored."""
    net.eval()
    table, images, masks = load(work)
    size = net.image_size
    seen, visible = [], []
    for i in (i for i, image in enumerate(table) if image.held_out):
        small = cv2.resize(images[i], (size, size), interpolation=cv2.INTER_AREA)
        semantic, class_maps, _ = see(net, pixels(np.stack([small, small[:, ::-1]])))
        maps = net.masks(semantic, semantic.new_zeros(2, 1, *semantic.shape[2:]))
        seen.append(visible_evidence(maps, class_maps))
        visible.extend([visible_categories(masks[i], CLEARLY_VISIBLE_SHARE)] * 2)
    return Evidence(torch.cat(seen), torch.from_numpy(np.stack(visible)))


@torch.no_grad()
def listen(net: LightC3N, sampler: SoundSampler, count: int) -> Sounds:
    """What the network hears in ``count`` distorted windows; one in eight holds only noise."""
    rng = sampler.rng

    def draw() -> _Window:
        context, target, name = sampler.draw_named()
        window = last_second(context, rng)
        if rng.random() < 0.12:
            gain = 10 ** rng.uniform(-4, -1.5) * (rng.random() < 0.7)
            nothing = noise(rng, SAMPLE_RATE) * np.float32(gain)
            return nothing, np.zeros_like(target), [False] * len(CATEGORIES)
        return distort(rng, window), target, _bars(name)

    return _hear(net, draw, count)


@torch.no_grad()
def listen_to_two(net: LightC3N, sampler: SoundSampler, count: int) -> Sounds:
    """What the network hears in ``count`` distorted windows of two sounds at once."""
    rng = sampler.rng

    def draw() -> _Window:
        (first, target, name), (second, also, other) = (sampler.draw_named() for _ in range(2))
        window, companion_logits = together(rng, last_second(first, rng), last_second(second, rng))
        bars = [a or b for a, b in zip(_bars(name), _bars(other), strict=True)]
        return distort(rng, window), both_targets(target, also, companion_logits), bars

    return _hear(net, draw, count)


def _hear(net: LightC3N, draw: Callable[[], _Window], count: int) -> Sounds:
    net.eval()
    logits, sound_classes, barred = [], [], []
    for _ in range(0, count, 16):
        drawn = [draw() for _ in range(16)]
        logits.append(net.audio_encoder(torch.from_numpy(np.stack([one[0] for one in drawn])))[1])
        sound_classes += [one[1] for one in drawn]
        barred += [one[2] for one in drawn]
    targets = torch.from_numpy(np.stack(sound_classes))
    return Sounds(
        torch.cat(logits), targets, category_truth(targets), torch.tensor(barred).float()
    )


def _bars(sound: str) -> list[bool]:
    """For each category whether training may not show it with this sound."""
    return [held_out(category, sound) for category in CATEGORY_NAMES]


def gather_gate_dataset(
    net: LightC3N, work: Path, scenes: int, windows: int, seed: int = 3
) -> GateDataset:
    """``scenes`` training scenes, ``windows`` single sounds and as many of two at once."""
    return GateDataset(
        look(net, SceneSampler(work, False, net.image_size, seed), scenes),
        listen(net, SoundSampler(work, False, seed), windows),
        listen_to_two(net, SoundSampler(work, False, seed + 100), windows),
    )
