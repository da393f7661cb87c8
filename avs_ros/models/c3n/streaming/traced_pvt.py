"""PVT-v2 with its backward pass written out (timm's ``PyramidVisionTransformerV2``)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch.nn.functional as functional
from torch import Tensor

from avs_ros.models.c3n.backbone import STAGES, PyramidVisionTransformer
from avs_ros.models.c3n.streaming.traced import (
    Trace,
    TracedBackbone,
    Vjp,
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

    positions = (1,)

    def __init__(self, backbone: PyramidVisionTransformer) -> None:
        super().__init__()
        self.net: Any = backbone.net
        self.classifier = self.net.head

    def forward(self, frames: Tensor) -> Trace:
        """See the base; stages are chained through their norms."""
        features: list[Tensor] = []
        stages: list[list[Vjp]] = []
        carry = frames
        norm_before: Vjp | None = None
        for index in range(STAGES):
            stage = self.net.stages[index]
            embed = self.net.patch_embed if index == 0 else stage.downsample
            embedded = embed.proj(carry).permute(0, 2, 3, 1)
            grid = (embedded.shape[1], embedded.shape[2])
            tokens = embed.norm(embedded).flatten(1, 2)
            ways: list[Vjp] = []
            if norm_before is not None:
                ways = [norm_before, partial(_embed_vjp, embed, embedded)]
            for block in stage.blocks:
                tokens, way = block_forward(block, tokens, grid)
                if index > 0:
                    ways.append(way)
            stages.append(ways)
            norm_before = partial(layer_norm_vjp, stage.norm, tokens)
            carry = _as_map(stage.norm(tokens), grid)
            features.append(carry)
        logits = self.classifier(features[-1].mean(dim=(2, 3)))
        last, norm = tokens, norm_before
        assert norm is not None

        def head(rows: Tensor) -> Tensor:
            return norm((rows / last.shape[1])[:, None, :].expand_as(last))

        return Trace(features, logits, head, stages)


def _embed_vjp(embed: Any, embedded: Tensor, gradient: Tensor) -> Tensor:
    """A stage's first tokens -> those that the stage before gave."""
    gradient = layer_norm_vjp(embed.norm, embedded, gradient.reshape(embedded.shape))
    # Stride 2, kernel 3, padding 1: the input had twice the output's rows and columns.
    gradient = functional.conv_transpose2d(
        gradient.permute(0, 3, 1, 2), embed.proj.weight, stride=2, padding=1, output_padding=1
    )
    return _as_tokens(gradient)


def block_forward(block: Any, x: Tensor, grid: _Grid) -> tuple[Tensor, Vjp]:
    """A transformer block ``[B, N, C]`` -> (output, the way back)."""
    attended, attention_way = _attend(block.attn, block.norm1(x), grid)
    middle = x + attended
    mlp = block.mlp
    hidden = _as_map(mlp.fc1(block.norm2(middle)), grid)
    mixed = _as_tokens(mlp.dwconv(hidden))
    out = middle + mlp.fc2(functional.gelu(mixed))

    def vjp(gradient: Tensor) -> Tensor:
        g = gelu_vjp(mixed, linear_vjp(mlp.fc2, gradient))
        g = _as_tokens(depthwise_vjp(mlp.dwconv.weight, _as_map(g, grid)))
        gradient = gradient + layer_norm_vjp(block.norm2, middle, linear_vjp(mlp.fc1, g))
        return gradient + layer_norm_vjp(block.norm1, x, attention_way(gradient))

    return out, vjp


def _attend(attn: Any, x: Tensor, grid: _Grid) -> tuple[Tensor, Vjp]:
    """Attention to a spatially reduced copy of the tokens."""
    queries = _heads(attn.q(x), attn.num_heads)
    reduced = None
    source = x
    if attn.sr is not None:
        reduced = _as_tokens(attn.sr(_as_map(x, grid)))
        source = attn.norm(reduced)
    keys, values = (_heads(part, attn.num_heads) for part in attn.kv(source).chunk(2, dim=-1))
    shares = (queries * attn.scale @ keys.transpose(-2, -1)).softmax(dim=-1)

    def vjp(gradient: Tensor) -> Tensor:
        g = _heads(linear_vjp(attn.proj, gradient), attn.num_heads)
        gq, gk, gv = attention_vjp(queries, keys, values, shares, attn.scale, g)
        inner = attn.kv.weight.shape[0] // 2
        for_source = _merged(gk) @ attn.kv.weight[:inner] + _merged(gv) @ attn.kv.weight[inner:]
        if reduced is not None:
            for_source = layer_norm_vjp(attn.norm, reduced, for_source)
            for_source = patches_vjp(attn.sr.weight, for_source, grid)
        return linear_vjp(attn.q, _merged(gq)) + for_source

    return attn.proj(_merged(shares @ values)), vjp


def _as_map(tokens: Tensor, grid: _Grid) -> Tensor:
    """``[B, h*w, C]`` -> ``[B, C, h, w]``.

    By way of ``[B, h, w, C]``: engines see that a convolution's channels-last input is all that
    is meant, and move nothing.
    """
    return tokens.reshape(tokens.shape[0], *grid, tokens.shape[2]).permute(0, 3, 1, 2)


def _as_tokens(x: Tensor) -> Tensor:
    """``[B, C, h, w]`` -> ``[B, h*w, C]``, the way back."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """``[B, N, C]`` -> ``[B, heads, N, C / heads]``."""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)


def _merged(parts: Tensor) -> Tensor:
    """``[B, heads, N, d]`` -> ``[B, N, heads * d]``."""
    return parts.transpose(1, 2).flatten(2)
