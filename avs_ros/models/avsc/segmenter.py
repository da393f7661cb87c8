"""Segmenter of potential sounding objects: N queries, each a class distribution and a mask.

MaskFormer's form (Cheng et al., NeurIPS 2021): whatever could sound is found from the image
alone, K categories and "no object"; the sound has no part in it.

Pixel decoder: a feature pyramid network (Lin et al., CVPR 2017) as in MaskFormer's section 3.3,
with depthwise separable convolutions in its light form.  Transformer decoder: queries look at
the pyramid where their own mask is, then at each other: the masked cross-attention of Mask2Former
(Cheng et al., CVPR 2022, equation 2), over all levels of the memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.avsc.config import AVSCConfig

NORM_GROUPS = 8
REFINEMENTS = 2


class GroupNorm(nn.GroupNorm):
    """Group normalisation with the variance as ``mean(x^2) - mean(x)^2``; the same tensors.

    Written out so that OpenVINO does not make one kernel of it: without AVX-512 that one crashes
    where a group's size is no multiple of 16 (8 channels of 7 x 7 cells).
    """

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, h, w]`` both ways."""
        b, c, h, w = input.shape
        x = input.reshape(b, self.num_groups, -1)
        mean = x.mean(dim=2, keepdim=True)
        variance = ((x * x).mean(dim=2, keepdim=True) - mean * mean).clamp(min=0.0)
        x = ((x - mean) * (variance + self.eps).rsqrt()).reshape(b, c, h, w)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Refinement(nn.Module):
    """Residual 3x3 convolution of ``[B, C, h, w]``; depthwise and 1x1 if ``separable``."""

    def __init__(self, channels: int, separable: bool) -> None:
        super().__init__()
        self.convolution: nn.Module
        if separable:
            self.convolution = nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 1),
            )
        else:
            self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = GroupNorm(NORM_GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + torch.relu(self.norm(self.convolution(x)))


class PixelDecoder(nn.Module):
    """``widths``: channels of the stages, stride 4 first; ``channels``: of everything it makes."""

    def __init__(self, widths: Sequence[int], channels: int, separable: bool) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.norm = nn.ModuleList(GroupNorm(NORM_GROUPS, channels) for _ in widths)
        self.refine = nn.ModuleList(
            nn.Sequential(*(Refinement(channels, separable) for _ in range(REFINEMENTS)))
            for _ in widths
        )
        self.embedding = nn.Conv2d(channels, channels, 1)

    def forward(self, stages: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
        """Stages, stride 4 first -> (pyramid, stride 32 first, cell embedding at stride 4)."""
        levels = list(zip(stages, self.lateral, self.norm, self.refine, strict=True))
        pyramid: list[Tensor] = []
        for stage, lateral, norm, refine in reversed(levels):
            x = norm(lateral(stage))
            if pyramid:
                size = x.shape[2:]
                x = x + functional.interpolate(
                    pyramid[-1], size=size, mode="bilinear", align_corners=False
                )
            pyramid.append(refine(x))
        return tuple(pyramid), self.embedding(pyramid[-1])


# Octaves between the slowest and the fastest wave of the position encoding.
OCTAVES = 7.5
# A cell whose mask logit is below this is not looked at in the next layer.
UNSEEN = -0.5


class Attention(nn.Module):
    """Multi-head attention in plain tensor operations, so that every engine computes it alike."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        for part in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """``[B, N, C]``, ``[B, M, C]`` twice -> ``[B, N, C]``; ``bias`` ``[B, N, M]`` or None."""
        q, k, v = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        if bias is not None:
            scores = scores + bias[:, None]
        return self.out((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; normed after each."""

    def __init__(self, channels: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.look = Attention(channels, heads)
        self.confer = Attention(channels, heads)
        self.think = nn.Sequential(
            nn.Linear(channels, feedforward), nn.ReLU(), nn.Linear(feedforward, channels)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self, queries: Tensor, place: Tensor, memory: Tensor, where: Tensor, bias: Tensor
    ) -> Tensor:
        """``queries`` ``[B, N, C]`` and their ``place`` ``[1, N, C]``; ``memory`` ``[B, M, C]``
        and its positions ``where`` ``[M, C]``; ``bias`` ``[B, N, M]`` -> queries.
        """
        seen = self.look(queries + place, memory + where, memory, bias)
        queries = self.norms[0](queries + seen)
        placed = queries + place
        queries = self.norms[1](queries + self.confer(placed, placed, queries, None))
        return self.norms[2](queries + self.think(queries))


def attention_bias(masks: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Mask logits ``[B, N, h, w]`` -> ``[B, N, M]``: 0 where a query looks, very low elsewhere.

    ``sizes``: of the memory's levels, divisors of the masks'.  A query whose mask is empty looks
    everywhere.
    """
    height, width = masks.shape[2:]
    coarse = [functional.avg_pool2d(masks, (height // h, width // w)).flatten(2) for h, w in sizes]
    seen = (torch.cat(coarse, dim=2) >= UNSEEN).to(masks.dtype)
    anything = seen.amax(dim=2, keepdim=True)
    return (seen - 1.0) * anything * 1e4


def position_encoding(level: Tensor) -> Tensor:
    """Sines and cosines of y and x of a level ``[B, C, h, w]``, ``[h * w, C]`` (C in fours)."""
    channels, height, width = (int(size) for size in level.shape[1:])
    waves = channels // 4
    steps = torch.arange(waves, device=level.device) / max(waves - 1, 1)
    frequency = 2 * math.pi * 2 ** (OCTAVES * steps)
    sides = (torch.linspace(0, 1, side, device=level.device) for side in (height, width))
    angles = [axis[..., None] * frequency for axis in torch.meshgrid(*sides, indexing="ij")]
    parts = [angle.sin() for angle in angles] + [angle.cos() for angle in angles]
    return torch.cat(parts, dim=2).reshape(height * width, channels).to(level.dtype)


class SegmenterOutput(NamedTuple):
    """N queries per image, each a thing that may sound (or nothing).

    ``class_logits``: ``[B, N, K + 1]`` before a softmax; the last column is "no object".
    ``mask_logits``: ``[B, N, S/4, S/4]`` before a sigmoid.  ``auxiliary``: the same pair from
    every earlier layer, first one first, for deep supervision.
    """

    class_logits: Tensor
    mask_logits: Tensor
    auxiliary: tuple[tuple[Tensor, Tensor], ...] = ()


class SegmenterHead(nn.Module):
    """Stages of a backbone, ``widths`` wide -> :class:`SegmenterOutput`."""

    def __init__(self, widths: Sequence[int], config: AVSCConfig) -> None:
        super().__init__()
        self.channels = channels = config.channels
        self.memory_levels = config.memory_levels
        self.pixels = PixelDecoder(widths, channels, config.separable)
        self.queries = nn.Embedding(config.queries, channels)
        self.places = nn.Embedding(config.queries, channels)
        nn.init.normal_(self.queries.weight, std=0.3)
        nn.init.normal_(self.places.weight, std=0.3)
        self.level = nn.Embedding(config.memory_levels, channels)
        # Cells say where they are: without it, two alike things would always share a mask.
        self.cell_places = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.cell_places.weight)
        self.layers = nn.ModuleList(
            DecoderLayer(channels, config.heads, config.feedforward) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.classes = nn.Linear(channels, len(config.categories) + 1)
        self.mask = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.mask_bias = nn.Parameter(torch.tensor(-1.0))

    def forward(self, stages: Sequence[Tensor]) -> SegmenterOutput:
        """``stages``: four of them, stride 4 first."""
        pyramid, cells = self.pixels(stages)
        places: Tensor = self.cell_places(position_encoding(cells))
        cells = cells + places.T.unflatten(1, (int(cells.shape[2]), int(cells.shape[3])))[None]
        levels = pyramid[: self.memory_levels]
        memory = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        where = torch.cat(
            [position_encoding(x) + self.level.weight[i] for i, x in enumerate(levels)]
        )
        sizes = [(int(level.shape[2]), int(level.shape[3])) for level in levels]
        queries = self.queries.weight[None].expand(cells.shape[0], -1, -1)
        place = self.places.weight[None]
        answers = [self._answer(queries, cells)]
        for layer in self.layers:
            bias = attention_bias(answers[-1][1].detach(), sizes)
            queries = layer(queries, place, memory, where, bias)
            answers.append(self._answer(queries, cells))
        return SegmenterOutput(*answers[-1], tuple(answers[:-1]))

    def _answer(self, queries: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits and mask logits of the queries as they are."""
        queries = self.norm(queries)
        scale = 2.0 / math.sqrt(self.channels)
        h, w = cells.shape[2:]
        masks = self.mask(queries) @ cells.flatten(2) * scale + self.mask_bias
        return self.classes(queries), masks.unflatten(2, (h, w))
