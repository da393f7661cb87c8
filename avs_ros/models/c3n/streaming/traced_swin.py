"""Swin with its backward pass written out (timm's ``SwinTransformer``)."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as functional
from timm.models.swin_transformer import window_partition, window_reverse
from torch import Tensor, nn

from avs_ros.models.c3n.backbone import STAGES, SwinTransformer
from avs_ros.models.c3n.streaming.traced import (
    Trace,
    TracedBackbone,
    Vjp,
    attention_vjp,
    gelu_vjp,
    layer_norm_vjp,
    linear_vjp,
)


class TracedSwinTransformer(TracedBackbone):
    """See :class:`TracedBackbone`.  Maps are channels-last ``[B, h, w, C]`` inside.

    The relative position bias (and the mask of shifted windows) depends on nothing but weights:
    it is looked up once here.
    """

    positions = (1, 2)

    def __init__(self, backbone: SwinTransformer) -> None:
        super().__init__()
        self.net: Any = backbone.net
        self.norms, self.classifier = backbone.norms, self.net.head.fc
        blocks = [block for layer in self.net.layers for block in layer.blocks]
        for number, block in enumerate(blocks):
            bias = block.attn._get_rel_pos_bias().detach()  # [1, heads, n, n]
            if block.attn_mask is not None:
                bias = bias + block.attn_mask[:, None]  # [windows, heads, n, n]
            self.register_buffer(f"bias{number}", bias.contiguous(), persistent=False)

    def forward(self, frames: Tensor) -> Trace:
        """See the base; stages are chained without their norms, so only norm 4 is crossed."""
        features: list[Tensor] = []
        stages: list[list[Vjp]] = []
        embed = self.net.patch_embed
        x = embed.norm(embed.proj(frames).permute(0, 2, 3, 1))
        count = 0
        for index in range(STAGES):
            layer = self.net.layers[index]
            ways: list[Vjp] = []
            if index > 0:
                merged = _merge(x)
                x = layer.downsample.reduction(layer.downsample.norm(merged))
                ways.append(partial(_downsample_vjp, layer.downsample, merged))
            for block in layer.blocks:
                x, way = block_forward(block, x, getattr(self, f"bias{count}"))
                count += 1
                if index > 0:
                    ways.append(way)
            stages.append(ways)
            features.append(self.norms[index](x).permute(0, 3, 1, 2))
        logits = self.classifier(features[-1].mean(dim=(2, 3)))
        last, norm = x, cast(nn.LayerNorm, self.norms[-1])

        def head(rows: Tensor) -> Tensor:
            rows = rows / (last.shape[1] * last.shape[2])
            return layer_norm_vjp(norm, last, rows[:, None, None, :].expand_as(last))

        return Trace(features, logits, head, stages)


def _downsample_vjp(downsample: Any, merged: Tensor, gradient: Tensor) -> Tensor:
    """The way back through a 2x2 patch merging, whose norm saw ``merged`` ``[B, h, w, 4C]``."""
    gradient = linear_vjp(downsample.reduction, gradient)
    b, h, w, c = merged.shape
    x = layer_norm_vjp(downsample.norm, merged, gradient).reshape(b, h, w, 2, 2, c // 4)
    return x.permute(0, 1, 4, 2, 3, 5).reshape(b, 2 * h, 2 * w, c // 4)


def block_forward(block: Any, x: Tensor, bias: Tensor) -> tuple[Tensor, Vjp]:
    """A block on ``[B, h, w, C]`` -> (output, the way back)."""
    attended, attention_way = _attend(block, block.norm1(x), bias)
    middle = x + attended
    mlp = block.mlp
    mixed = mlp.fc1(block.norm2(middle))
    out = middle + mlp.fc2(functional.gelu(mixed))

    def vjp(gradient: Tensor) -> Tensor:
        g = linear_vjp(mlp.fc1, gelu_vjp(mixed, linear_vjp(mlp.fc2, gradient)))
        gradient = gradient + layer_norm_vjp(block.norm2, middle, g)
        return gradient + layer_norm_vjp(block.norm1, x, attention_way(gradient))

    return out, vjp


def _attend(block: Any, x: Tensor, bias: Tensor) -> tuple[Tensor, Vjp]:
    """Attention inside (shifted) windows."""
    _, h, w, c = x.shape
    attn = block.attn
    windows = _windows(_shifted(block, x, forth=True), block.window_size)  # [B, W, n, C]
    parts = attn.qkv(windows)
    parts = parts.reshape(*windows.shape[:3], 3, attn.num_heads, c // attn.num_heads)
    queries, keys, values = parts.permute(3, 0, 1, 4, 2, 5).unbind(0)  # [B, W, heads, n, d]
    shares = (queries * attn.scale @ keys.transpose(-2, -1) + bias).softmax(dim=-1)
    out = (shares @ values).transpose(2, 3).reshape(windows.shape)
    out = _unwindows(attn.proj(out), block.window_size, (h, w))

    def vjp(gradient: Tensor) -> Tensor:
        g = _windows(_shifted(block, gradient, forth=True), block.window_size)
        shape = g.shape
        g = linear_vjp(attn.proj, g)
        g = g.reshape(*shape[:3], attn.num_heads, c // attn.num_heads).transpose(2, 3)
        grads = attention_vjp(queries, keys, values, shares, attn.scale, g)
        merged = torch.cat([part.transpose(2, 3).reshape(shape) for part in grads], dim=-1)
        g = _unwindows(linear_vjp(attn.qkv, merged), block.window_size, (h, w))
        return _shifted(block, g, forth=False)

    return _shifted(block, out, forth=False), vjp


def _shifted(block: Any, x: Tensor, forth: bool) -> Tensor:
    """Cyclic shift by half a window, and back; blocks with whole windows do not shift."""
    if not any(block.shift_size):
        return x
    sign = -1 if forth else 1
    return torch.roll(x, [sign * s for s in block.shift_size], dims=[1, 2])


def _windows(x: Tensor, size: tuple[int, int]) -> Tensor:
    """``[B, h, w, C]`` -> ``[B, windows, positions, C]``."""
    return window_partition(x, size).reshape(x.shape[0], -1, size[0] * size[1], x.shape[3])


def _unwindows(x: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Inverse of :func:`_windows`."""
    return window_reverse(x.reshape(-1, *size, x.shape[-1]), size, *grid)


def _merge(x: Tensor) -> Tensor:
    """``[B, h, w, C]`` -> ``[B, h/2, w/2, 4C]``: each 2x2 group, columns outermost."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
