"""Transformer layers of BEATs: convolutional positions, gated relative position bias, DeepNorm.

The gated bias is that of S. Chen et al., "WavLM", IEEE JSTSP 2022, equations 1-5; DeepNorm of
H. Wang et al., "DeepNet", 2022.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositionConvolution(nn.Module):
    """Position information from the neighbours: tokens [B, T, E] -> [B, T, E].

    A grouped convolution over time whose kernel is ``weight_g * weight_v / |weight_v|``, the norm
    being taken for each tap over all channels.
    """

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        plain = nn.Conv1d(width, width, kernel, groups=groups)
        self.kernel = kernel
        self.groups = groups
        self.weight_v = nn.Parameter(plain.weight.detach().clone())
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Positions [B, T, E] to be added to ``tokens``."""
        norm = self.weight_v.norm(dim=(0, 1), keepdim=True)
        weight = self.weight_g * self.weight_v / norm
        padding = self.kernel // 2
        maps = F.conv1d(
            tokens.transpose(1, 2), weight, self.bias, padding=padding, groups=self.groups
        )
        # An even kernel gives one step too many, at the end.
        return F.gelu(maps[..., : tokens.shape[1]]).transpose(1, 2)


class RelativeAttention(nn.Module):
    """Self-attention whose logits get a relative position bias, scaled by a gate per query.

    ``buckets`` 0: the layer has no bias of its own and uses the one it is given.
    """

    def __init__(self, width: int, heads: int, buckets: int, max_distance: int) -> None:
        super().__init__()
        self.heads = heads
        self.buckets = buckets
        self.max_distance = max_distance
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.grep_linear = nn.Linear(width // heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))
        if buckets:
            self.relative_attention_bias = nn.Embedding(buckets, heads)

    def position_bias(self, length: int) -> Tensor:
        """Bias [heads, T, T] between every query and key of ``length`` tokens."""
        position = torch.arange(length, device=self.grep_a.device)
        bucket = relative_position_bucket(
            position[None] - position[:, None], self.buckets, self.max_distance
        )
        return self.relative_attention_bias(bucket).permute(2, 0, 1)

    def gate(self, query: Tensor) -> Tensor:
        """Factor [B, heads, T, 1] of the bias, from the queries [B, heads, T, d]."""
        sums = self.grep_linear(query).unflatten(-1, (2, 4)).sum(-1)
        reset, update = torch.sigmoid(sums).chunk(2, dim=-1)
        return reset * (update * self.grep_a - 1.0) + 2.0

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Attend within ``tokens`` [B, T, E], with ``bias`` [heads, T, T]."""
        query, key, value = (
            projection(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mask = self.gate(query) * bias
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Attention and feed-forward part, each normalised after its DeepNorm residual."""

    def __init__(
        self, width: int, hidden: int, heads: int, depth: int, buckets: int, max_distance: int
    ) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(width, heads, buckets, max_distance)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.residual_scale = (2 * depth) ** 0.25

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """Tokens [B, T, E] -> [B, T, E]; ``bias`` [heads, T, T] is shared by all layers."""
        mixed = self.self_attn(tokens, bias)
        tokens = self.self_attn_layer_norm(tokens * self.residual_scale + mixed)
        hidden = self.fc2(F.gelu(self.fc1(tokens)))
        return self.final_layer_norm(tokens * self.residual_scale + hidden)


def relative_position_bucket(distance: Tensor, buckets: int, max_distance: int) -> Tensor:
    """Bucket 0..buckets-1 of each signed ``distance`` (key minus query), int64, any shape.

    Half of the buckets for each direction; within a direction the first half counts single
    steps, the rest grows logarithmically up to ``max_distance`` and beyond it is one bucket.
    """
    per_direction = buckets // 2
    exact = per_direction // 2
    steps = distance.abs()
    growth = (steps.clamp(min=1).float() / exact).log() / math.log(max_distance / exact)
    far = (exact + (growth * (per_direction - exact)).long()).clamp(max=per_direction - 1)
    return (distance > 0).long() * per_direction + torch.where(steps < exact, steps, far)
