"""Transformer decoder: queries look at the pyramid where their own mask is, then at each other.

MaskFormer's decoder (Cheng et al., NeurIPS 2021) with the masked cross-attention of Mask2Former
(Cheng et al., CVPR 2022, equation 2), over all levels of the memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

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
        out: Tensor = self.out((scores.softmax(dim=3) @ v).transpose(1, 2).flatten(2))
        return out


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
    coarse = [shrink(masks, size).flatten(2) for size in sizes]
    seen = (torch.cat(coarse, dim=2) >= UNSEEN).to(masks.dtype)
    anything = seen.amax(dim=2, keepdim=True)
    return (seen - 1.0) * anything * 1e4


def shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean of the cells ``[B, C, h, w]`` -> ``[B, C, *size]``, a divisor of their size."""
    factor = (maps.shape[2] // size[0], maps.shape[3] // size[1])
    return functional.avg_pool2d(maps, factor)


def position_encoding(
    height: int, width: int, channels: int, device: torch.device | None = None
) -> Tensor:
    """Sines and cosines of y and x, ``[height * width, channels]`` (channels in fours)."""
    waves = channels // 4
    steps = torch.arange(waves, device=device) / max(waves - 1, 1)
    frequency = 2 * math.pi * 2 ** (OCTAVES * steps)
    y, x = torch.meshgrid(
        *(torch.linspace(0, 1, side, device=device) for side in (height, width)), indexing="ij"
    )
    angles = [axis[..., None] * frequency for axis in (y, x)]
    parts = [angle.sin() for angle in angles] + [angle.cos() for angle in angles]
    return torch.cat(parts, dim=2).reshape(height * width, channels)
