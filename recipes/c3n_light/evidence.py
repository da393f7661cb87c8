"""What the gates learn from: pictures and sounds turned into evidence, once.

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

from avs_ros.evaluation.held_out_pairs import held_out
from avs_ros.models.light import LightC3N
from avs_ros.models.light.families import FAMILIES, FAMILY_NAMES, VOICE_FAMILY
from avs_ros.models.light.selection import visible_evidence
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE
from recipes.c3n_light.distortion import distort, noise, together
from recipes.c3n_light.hearing import SoundSampler, both_targets, last_second
from recipes.c3n_light.pictures import IGNORE, load
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.seeing import pixels, see

VISIBLE_SHARE = 0.004
# What the gate learns to accept: the evidence looks at the best 2 % of a picture, so of less it
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
    """``logits`` ``[M, 527]``; ``voices`` ``[M, V]``, ``truth`` ``[M, K]``: 1, 0, -1 unknown.

    ``barred`` ``[M, K]``: 1 for families that training may not show with the sound.
    """

    logits: Tensor
    voices: Tensor
    truth: Tensor
    barred: Tensor

    def and_also(self, other: Sounds) -> Sounds:
        """These and those."""
        return Sounds(
            torch.cat([self.logits, other.logits]),
            torch.cat([self.voices, other.voices]),
            torch.cat([self.truth, other.truth]),
            torch.cat([self.barred, other.barred]),
        )


@dataclass(frozen=True)
class Material:
    """What is seen in pictures, and what is heard of single sounds and of two at once."""

    pictures: Evidence
    alone: Sounds
    mixed: Sounds


def visible_families(mask: np.ndarray, least: float = VISIBLE_SHARE) -> Float:
    """``[S, S]`` family mask -> ``[K]``: 1 visible, 0 not, -1 cannot be said (below ``least``)."""
    counts = np.bincount(mask.reshape(-1), minlength=256)[1 : len(FAMILIES) + 1] / mask.size
    out = np.where(counts >= least, 1.0, np.where(counts > 0, -1.0, 0.0))
    if np.mean(mask == IGNORE) > 0.02:
        out = np.where(out == 0, -1.0, out)
    return out.astype(np.float32)


def family_truth(voices: Tensor) -> Tensor:
    """Voice targets ``[M, V]`` -> family targets ``[M, K]`` (one voice is enough)."""
    out = torch.full((len(voices), len(FAMILIES)), -2.0)
    index = torch.tensor(VOICE_FAMILY).expand(len(voices), -1)
    certain = torch.where(voices > 0, 2.0, torch.where(voices < 0, 1.0, 0.0))
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
        visible.extend(visible_families(scene[1], CLEARLY_VISIBLE_SHARE) for scene in scenes)
    return Evidence(torch.cat(seen), torch.from_numpy(np.stack(visible)))


@torch.no_grad()
def look_at_held_out(net: LightC3N, work: Path) -> Evidence:
    """Evidence of the held-out pictures as they are, and mirrored."""
    net.eval()
    table, pictures, masks = load(work)
    size = net.image_size
    seen, visible = [], []
    for i in (i for i, picture in enumerate(table) if picture.held_out):
        small = cv2.resize(pictures[i], (size, size), interpolation=cv2.INTER_AREA)
        semantic, class_maps, _ = see(net, pixels(np.stack([small, small[:, ::-1]])))
        maps = net.masks(semantic, semantic.new_zeros(2, 1, *semantic.shape[2:]))
        seen.append(visible_evidence(maps, class_maps))
        visible.extend([visible_families(masks[i], CLEARLY_VISIBLE_SHARE)] * 2)
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
            return nothing, np.zeros_like(target), [False] * len(FAMILIES)
        return distort(rng, window), target, _bars(name)

    return _hear(net, draw, count)


@torch.no_grad()
def listen_to_two(net: LightC3N, sampler: SoundSampler, count: int) -> Sounds:
    """What the network hears in ``count`` distorted windows of two sounds at once."""
    rng = sampler.rng

    def draw() -> _Window:
        (first, target, name), (second, also, other) = (sampler.draw_named() for _ in range(2))
        window, beside = together(rng, last_second(first, rng), last_second(second, rng))
        bars = [a or b for a, b in zip(_bars(name), _bars(other), strict=True)]
        return distort(rng, window), both_targets(target, also, beside), bars

    return _hear(net, draw, count)


def _hear(net: LightC3N, draw: Callable[[], _Window], count: int) -> Sounds:
    net.eval()
    logits, voices, barred = [], [], []
    for _ in range(0, count, 16):
        drawn = [draw() for _ in range(16)]
        logits.append(net.hearing(torch.from_numpy(np.stack([one[0] for one in drawn])))[1])
        voices += [one[1] for one in drawn]
        barred += [one[2] for one in drawn]
    targets = torch.from_numpy(np.stack(voices))
    return Sounds(torch.cat(logits), targets, family_truth(targets), torch.tensor(barred).float())


def _bars(sound: str) -> list[bool]:
    """For each family whether training may not show it with this sound."""
    return [held_out(family, sound) for family in FAMILY_NAMES]


def gather_material(
    net: LightC3N, work: Path, scenes: int, windows: int, seed: int = 3
) -> Material:
    """``scenes`` training scenes, ``windows`` single sounds and as many of two at once."""
    return Material(
        look(net, SceneSampler(work, False, net.image_size, seed), scenes),
        listen(net, SoundSampler(work, False, seed), windows),
        listen_to_two(net, SoundSampler(work, False, seed + 100), windows),
    )
