"""PVT-v2 with its backward pass written out (timm's ``PyramidVisionTransformerV2``)."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as functional
from torch import Tensor

from avs_ros.models.c3n.backbone import STAGES, PyramidVisionTransformer
from avs_ros.models.c3n.streaming.traced import (
    Trace,
    TracedBackbone,
    attention_vjp,
    depthwise_vjp,
    gelu_vjp,
    layer_norm_vjp,
    linear_vjp,
    patches_vjp,
)

_Grid = tuple[int, int]


class TracedPyramidVisionTransformer(TracedBackbone):
    """See :class:`TracedBackbone`.  Tokens are ``[B, N, C]``, row-major on their grid."""

    def __init__(self, backbone: PyramidVisionTransformer) -> None:
        super().__init__()
        self.net: Any = backbone.net

    def forward(self, frames: Tensor) -> Trace:
        """See the base; stage 1 keeps nothing but its last activation."""
        record: dict[str, Any] = {"blocks": [], "embedded": [], "activations": [], "grids": []}
        features: list[Tensor] = []
        carry = frames
        for index in range(STAGES):
            stage = self.net.stages[index]
            embed = self.net.patch_embed if index == 0 else stage.downsample
            embedded = embed.proj(carry).permute(0, 2, 3, 1)
            grid = (embedded.shape[1], embedded.shape[2])
            tokens = embed.norm(embedded).flatten(1, 2)
            kept = []
            for block in stage.blocks:
                tokens, saved = block_forward(block, tokens, grid)
                if index > 0:
                    kept.append(saved)
            carry = _as_map(stage.norm(tokens), grid)
            features.append(carry)
            record["blocks"].append(kept)
            record["embedded"].append(embedded)
            record["activations"].append(tokens)
            record["grids"].append(grid)
        logits = self.net.head(features[-1].mean(dim=(2, 3)))
        return Trace(features, logits, record)

    def channel_weights(self, trace: Trace, labels: Tensor) -> list[Tensor]:
        """See the base."""
        record = trace.record
        grids, activations = record["grids"], record["activations"]
        h, w = grids[-1]
        rows = self.head_rows(self.net.head, labels) / (h * w)
        gradient = rows[:, None, :].expand(-1, h * w, -1)
        weights = []
        for index in reversed(range(STAGES)):
            stage = self.net.stages[index]
            gradient = layer_norm_vjp(stage.norm, activations[index], gradient)
            weights.append(gradient.mean(dim=1))
            if index == 0:
                break
            for block, saved in zip(
                reversed(stage.blocks), reversed(record["blocks"][index]), strict=True
            ):
                gradient = block_vjp(block, saved, grids[index], gradient)
            embedded = record["embedded"][index]
            gradient = layer_norm_vjp(
                stage.downsample.norm, embedded, gradient.reshape(embedded.shape)
            )
            # Stride 2, kernel 3, padding 1: the input had twice the output's rows and columns.
            gradient = functional.conv_transpose2d(
                gradient.permute(0, 3, 1, 2),
                stage.downsample.proj.weight,
                stride=2,
                padding=1,
                output_padding=1,
            )
            gradient = _as_tokens(gradient)
        return weights[::-1]


def block_forward(block: Any, x: Tensor, grid: _Grid) -> tuple[Tensor, tuple[Any, ...]]:
    """A transformer block ``[B, N, C]`` -> (output, what its backward pass needs)."""
    attended, attention = _attention_forward(block.attn, block.norm1(x), grid)
    middle = x + attended
    mlp = block.mlp
    hidden = _as_map(mlp.fc1(block.norm2(middle)), grid)
    mixed = _as_tokens(mlp.dwconv(hidden))
    out = middle + mlp.fc2(functional.gelu(mixed))
    return out, (x, attention, middle, mixed)


def block_vjp(block: Any, saved: tuple[Any, ...], grid: _Grid, gradient: Tensor) -> Tensor:
    """Gradient with respect to the block's input."""
    x, attention, middle, mixed = saved
    mlp = block.mlp
    g = gelu_vjp(mixed, linear_vjp(mlp.fc2, gradient))
    g = _as_tokens(depthwise_vjp(mlp.dwconv.weight, _as_map(g, grid)))
    gradient = gradient + layer_norm_vjp(block.norm2, middle, linear_vjp(mlp.fc1, g))
    g = _attention_vjp(block.attn, attention, grid, gradient)
    return gradient + layer_norm_vjp(block.norm1, x, g)


def _attention_forward(attn: Any, x: Tensor, grid: _Grid) -> tuple[Tensor, tuple[Any, ...]]:
    """Attention to a spatially reduced copy of the tokens."""
    b, n, c = x.shape
    queries = _heads(attn.q(x), attn.num_heads)
    reduced = None
    source = x
    if attn.sr is not None:
        reduced = _as_tokens(attn.sr(_as_map(x, grid)))
        source = attn.norm(reduced)
    keys, values = (_heads(part, attn.num_heads) for part in attn.kv(source).chunk(2, dim=-1))
    shares = (queries * attn.scale @ keys.transpose(-2, -1)).softmax(dim=-1)
    out = (shares @ values).transpose(1, 2).reshape(b, n, c)
    return attn.proj(out), (queries, keys, values, shares, reduced)


def _attention_vjp(attn: Any, saved: tuple[Any, ...], grid: _Grid, gradient: Tensor) -> Tensor:
    queries, keys, values, shares, reduced = saved
    g = _heads(linear_vjp(attn.proj, gradient), attn.num_heads)
    gq, gk, gv = attention_vjp(queries, keys, values, shares, attn.scale, g)
    inner = attn.kv.weight.shape[0] // 2
    for_source = _merged(gk) @ attn.kv.weight[:inner] + _merged(gv) @ attn.kv.weight[inner:]
    if reduced is not None:
        for_source = layer_norm_vjp(attn.norm, reduced, for_source)
        for_source = patches_vjp(attn.sr.weight, for_source, grid)
    return linear_vjp(attn.q, _merged(gq)) + for_source


def _as_map(tokens: Tensor, grid: _Grid) -> Tensor:
    """``[B, h*w, C]`` -> ``[B, C, h, w]``.

    By way of ``[B, h, w, C]``: engines see that a convolution's channels-last input is all that
    is meant, and move nothing.
    """
    return tokens.reshape(tokens.shape[0], *grid, tokens.shape[2]).permute(0, 3, 1, 2)


def _as_tokens(x: Tensor) -> Tensor:
    """``[B, C, h, w]`` -> ``[B, h*w, C]``, the way back."""
    b, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(b, h * w, c)


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """``[B, N, C]`` -> ``[B, heads, N, C / heads]``."""
    b, n, c = tokens.shape
    return tokens.reshape(b, n, heads, c // heads).transpose(1, 2)


def _merged(parts: Tensor) -> Tensor:
    """``[B, heads, N, d]`` -> ``[B, N, heads * d]``."""
    b, h, n, d = parts.shape
    return parts.transpose(1, 2).reshape(b, n, h * d)
