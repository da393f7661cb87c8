"""Scenes and sounds, seen and heard once, then paired at will: matched, mismatched, silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avs_ros.models.avsc import AVSC, SegmenterOutput
from avs_ros.sound import SAMPLE_RATE
from recipes.avsc_light.buffer import shrink
from recipes.avsc_light.instances import Part
from recipes.avsc_light.scenes import UNKNOWN, Ids, Scene
from recipes.c3n_light.audio_stage import SoundSampler, last_second
from recipes.c3n_light.distortion import distort, noise
from recipes.c3n_light.evidence import category_truth
from recipes.c3n_light.visual_stage import pixels

# Share of the windows that hold noise or nothing.
NOTHING = 0.12
CHUNK = 8


@dataclass(frozen=True)
class Heard:
    """M windows: ``feature`` ``[M, D]``, AudioSet ``logits`` ``[M, 527]`` and ``truth``
    ``[M, K]``: 1 the category sounds, 0 it does not, -1 it may.
    """

    feature: Tensor
    logits: Tensor
    truth: Tensor


@dataclass(frozen=True)
class Seen:
    """N scenes: the segmenter's output (masks float16), id maps and ``categories`` ``[N, K]``: 1
    visible, 0 not, -1 cannot be said.
    """

    class_logits: Tensor
    mask_logits: Tensor
    ids: list[Ids]
    parts: list[tuple[Part, ...]]
    categories: Tensor

    def output(self, rows: Tensor) -> SegmenterOutput:
        """What the segmenter said of these scenes."""
        return SegmenterOutput(self.class_logits[rows], self.mask_logits[rows].float(), ())

    def __len__(self) -> int:
        """Scenes."""
        return len(self.ids)


@torch.no_grad()
def listen(net: AVSC, sampler: SoundSampler, count: int) -> Heard:
    """``count`` windows after rooms, microphones and noise; some hold nothing else."""
    net.eval()
    rng = sampler.rng
    features, logits, sound_classes = [], [], []
    for _ in range(0, count, 2 * CHUNK):
        windows = []
        for _ in range(2 * CHUNK):
            context, target = sampler.draw()
            window = last_second(context, rng)
            if rng.random() < NOTHING:
                gain = 10 ** rng.uniform(-4, -1.5) * (rng.random() < 0.7)
                window, target = noise(rng, SAMPLE_RATE) * np.float32(gain), np.zeros_like(target)
            else:
                window = distort(rng, window)
            windows.append(window)
            sound_classes.append(target)
        feature, scores = net.audio_encoder(torch.from_numpy(np.stack(windows)))
        features.append(feature)
        logits.append(scores)
    truth = category_truth(torch.from_numpy(np.stack(sound_classes)))
    return Heard(torch.cat(features), torch.cat(logits), truth)


@torch.no_grad()
def look(net: AVSC, scenes: Sequence[Scene], side: int) -> Seen:
    """The segmenter's view of ``scenes``; ``side``: of its masks, in cells."""
    net.eval()
    classes, masks = [], []
    for first in range(0, len(scenes), CHUNK):
        images = np.stack([scene.image for scene in scenes[first : first + CHUNK]])
        out = net.segment(pixels(images))
        classes.append(out.class_logits)
        masks.append(out.mask_logits.half())
    categories = int(classes[0].shape[2]) - 1
    return Seen(
        torch.cat(classes),
        torch.cat(masks),
        [shrink(scene.ids, side) for scene in scenes],
        [scene.parts for scene in scenes],
        torch.stack([visible(scene, categories) for scene in scenes]),
    )


def visible(scene: Scene, categories: int) -> Tensor:
    """``[K]``: 1 a category is to be seen, 0 it is not, -1 nobody knows."""
    unknown = float((scene.ids == UNKNOWN).mean()) > 0.02
    out = torch.full((categories,), -1.0 if unknown else 0.0)
    for part in scene.parts:
        out[part.category] = 1.0
    return out


def attended_truth(ids: Ids, parts: Sequence[Part], truth: Tensor) -> tuple[Tensor, Tensor]:
    """What should light up, 0|1 ``[h, w]``, and where that is known.

    ``truth`` ``[K]``: the sounding object (1), does not (0), may (-1).
    """
    cells = torch.from_numpy(ids)
    sounds = torch.tensor([0.0, *(float(truth[part.category]) for part in parts)])
    value = sounds[cells.long().clamp(min=0)]
    known = (cells != UNKNOWN) & (value >= 0)
    # Nothing that sounds, nothing to light up: also where nobody knows what is there.
    if not bool((truth != 0).any()):
        known = torch.ones_like(known)
    return value.clamp(min=0), known.float()


def draw_pairs(
    seen: Seen, heard: Heard, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """``count`` pairs (row of a scene, row of a sound); in half of them something visible sounds.

    Sounds that few scenes go with are drawn as often as others.
    """
    a = torch.randint(len(seen), (count,), generator=generator)
    b = torch.randint(len(heard.truth), (count,), generator=generator)
    match = (seen.categories > 0).float() @ (heard.truth > 0).float().T
    half = count // 2
    if bool(match.any()):
        first, second = torch.nonzero(match, as_tuple=True)
        category = ((seen.categories[first] > 0) & (heard.truth[second] > 0)).float().argmax(1)
        often = torch.bincount(category, minlength=seen.categories.shape[1]).clamp(min=1)
        weight = often.float().pow(-0.7)[category]
        pick = _choose(weight, half, generator)
        a[:half], b[:half] = first[pick], second[pick]
    return a, b


def _choose(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices drawn in proportion to ``weight`` (of any length; multinomial stops at 2^24)."""
    total = weight.double().cumsum(0)
    at = torch.rand(count, generator=generator, dtype=torch.float64) * total[-1]
    return torch.searchsorted(total, at).clamp(max=len(weight) - 1)
