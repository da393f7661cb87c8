"""MobileNetV2 with its backward pass written out (timm's ``mobilenetv2_100``).

Batch norm is folded into the convolutions at construction: weights changed later are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.c3n.backbone import STAGES, MobileNetV2
from avs_ros.models.c3n.streaming.traced import (
    Trace,
    TracedBackbone,
    depthwise_vjp,
    halving_phases,
    halving_vjp,
    relu6_vjp,
)


@dataclass
class _Saved:
    """A block's activations after ReLU6 (``expanded`` None where there is no expansion)."""

    expanded: Tensor | None
    spread: Tensor


class TracedMobileNetV2(TracedBackbone):
    """See :class:`TracedBackbone`; maps are ``[B, C, h, w]``."""

    def __init__(self, backbone: MobileNetV2) -> None:
        super().__init__()
        net: Any = backbone.net
        self.stem = FoldedConvolution(net.conv_stem, net.bn1)
        self.stages = nn.ModuleList(
            nn.ModuleList(
                InvertedResidual(block) for group in net.blocks[first:last] for block in group
            )
            for first, last in backbone.groups
        )
        self.head_convolution = FoldedConvolution(net.conv_head, net.bn2)
        self.classifier: nn.Linear = net.classifier

    def forward(self, frames: Tensor) -> Trace:
        """See the base; stage 1 keeps nothing."""
        x = functional.relu6(self.stem(frames))
        features: list[Tensor] = []
        kept: list[list[_Saved]] = []
        for stage in self.stages:
            saved_blocks = []
            for block in stage:  # type: ignore[attr-defined]
                x, saved = block(x)
                saved_blocks.append(saved)
            features.append(x)
            kept.append(saved_blocks if len(features) > 1 else [])
        hidden = functional.relu6(self.head_convolution(x))
        logits = self.classifier(hidden.mean(dim=(2, 3)))
        return Trace(features, logits, {"blocks": kept, "hidden": hidden})

    def channel_weights(self, trace: Trace, labels: Tensor) -> list[Tensor]:
        """See the base."""
        hidden = trace.record["hidden"]
        rows = self.head_rows(self.classifier, labels) / (hidden.shape[2] * hidden.shape[3])
        gradient = relu6_vjp(hidden, rows[:, :, None, None].expand_as(hidden))
        gradient = self.head_convolution.vjp(gradient)
        weights = []
        for index in reversed(range(STAGES)):
            weights.append(gradient.mean(dim=(2, 3)))
            if index == 0:
                break
            blocks: Any = self.stages[index]
            for block, saved in zip(
                reversed(blocks), reversed(trace.record["blocks"][index]), strict=True
            ):
                gradient = block.vjp(saved, gradient)
        return weights[::-1]


class FoldedConvolution(nn.Module):
    """Convolution with the batch norm behind it folded in; TensorFlow's "SAME" padding.

    At stride 2 and even sizes that is one row and column at the bottom and right only.
    """

    weight: Tensor
    bias: Tensor
    phases: Tensor

    def __init__(self, convolution: nn.Conv2d, norm: Any) -> None:
        super().__init__()
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = convolution.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
        self.register_buffer("weight", weight.detach().clone(), persistent=False)
        self.register_buffer("bias", bias.detach().clone(), persistent=False)
        self.stride = convolution.stride[0]
        self.groups = convolution.groups
        if self.stride == 2 and self.groups > 1:
            self.register_buffer("phases", halving_phases(self.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C_in, h, w]`` -> ``[B, C_out, h / stride, w / stride]``."""
        around = self.weight.shape[2] // 2
        if self.stride == 2:
            x, around = functional.pad(x, (0, 1, 0, 1)), 0
        return functional.conv2d(
            x, self.weight, self.bias, stride=self.stride, padding=around, groups=self.groups
        )

    def vjp(self, gradient: Tensor) -> Tensor:
        """Gradient with respect to the input, whose size is even at stride 2."""
        if self.weight.shape[2] == 1:
            return functional.conv2d(gradient, self.weight.transpose(0, 1))
        if self.stride == 1:
            return depthwise_vjp(self.weight, gradient)
        return halving_vjp(self.weight, self.phases, gradient)


class InvertedResidual(nn.Module):
    """Expand (1x1, ReLU6), spread (depthwise 3x3, ReLU6), project (1x1); skip where it fits."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        plain = hasattr(block, "conv_pwl")
        self.expand = FoldedConvolution(block.conv_pw, block.bn1) if plain else None
        self.spread = FoldedConvolution(block.conv_dw, block.bn2 if plain else block.bn1)
        self.project = (
            FoldedConvolution(block.conv_pwl, block.bn3)
            if plain
            else FoldedConvolution(block.conv_pw, block.bn2)
        )
        self.skip = bool(block.has_skip)

    def forward(self, x: Tensor) -> tuple[Tensor, _Saved]:
        """``[B, C_in, h, w]`` -> (output, what the backward pass needs)."""
        expanded = None if self.expand is None else functional.relu6(self.expand(x))
        spread = functional.relu6(self.spread(x if expanded is None else expanded))
        out = self.project(spread)
        return (x + out if self.skip else out), _Saved(expanded, spread)

    def vjp(self, saved: _Saved, gradient: Tensor) -> Tensor:
        """Gradient with respect to the block's input."""
        g = relu6_vjp(saved.spread, self.project.vjp(gradient))
        g = self.spread.vjp(g)
        if self.expand is not None and saved.expanded is not None:
            g = self.expand.vjp(relu6_vjp(saved.expanded, g))
        return gradient + g if self.skip else g
