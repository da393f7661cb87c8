"""MobileNetV2 with its backward pass written out (timm's ``mobilenetv2_100``).

Batch norm is folded into the convolutions at construction: weights changed later are not seen.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.c3n.backbone import MobileNetV2
from avs_ros.models.c3n.streaming.traced import (
    Trace,
    TracedBackbone,
    Vjp,
    depthwise_vjp,
    halving_phases,
    halving_vjp,
    relu6_vjp,
)


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
        self.classifier = net.classifier

    def forward(self, frames: Tensor) -> Trace:
        """See the base."""
        x = functional.relu6(self.stem(frames))
        features: list[Tensor] = []
        stages: list[list[Vjp]] = []
        for stage in self.stages:
            ways = []
            for block in stage:  # type: ignore[attr-defined]
                x, way = block(x)
                ways.append(way)
            stages.append(ways if features else [])
            features.append(x)
        hidden = functional.relu6(self.head_convolution(x))
        logits = self.classifier(hidden.mean(dim=(2, 3)))

        def head(rows: Tensor) -> Tensor:
            rows = rows / (hidden.shape[2] * hidden.shape[3])
            gradient = relu6_vjp(hidden, rows[:, :, None, None].expand_as(hidden))
            return self.head_convolution.vjp(gradient)

        return Trace(features, logits, head, stages, hidden)


class FoldedConvolution(nn.Module):
    """Convolution with the batch norm behind it, where there is one, folded in.

    TensorFlow's "SAME" padding: at stride 2 and even sizes that is one row and column at the
    bottom and right only.
    """

    weight: Tensor
    bias: Tensor
    phases: Tensor

    def __init__(self, convolution: Any, norm: Any) -> None:
        super().__init__()
        weight, bias = convolution.weight, convolution.bias
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weight = weight * scale[:, None, None, None]
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
        expands = hasattr(block, "conv_pwl")
        norms = [block.bn1, block.bn2, *([block.bn3] if expands else [])]
        self.expand = FoldedConvolution(block.conv_pw, norms[0]) if expands else None
        self.spread = FoldedConvolution(block.conv_dw, norms[-2])
        self.project = FoldedConvolution(block.conv_pwl if expands else block.conv_pw, norms[-1])
        self.skip = bool(block.has_skip)

    def forward(self, x: Tensor) -> tuple[Tensor, Vjp]:
        """``[B, C_in, h, w]`` -> (output, the way back)."""
        expanded = None if self.expand is None else functional.relu6(self.expand(x))
        spread = functional.relu6(self.spread(x if expanded is None else expanded))
        out = self.project(spread)

        def vjp(gradient: Tensor) -> Tensor:
            g = relu6_vjp(spread, self.project.vjp(gradient))
            g = self.spread.vjp(g)
            if self.expand is not None and expanded is not None:
                g = self.expand.vjp(relu6_vjp(expanded, g))
            return gradient + g if self.skip else g

        return (x + out if self.skip else out), vjp
