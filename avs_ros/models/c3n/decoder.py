"""The decoder: from stage 4 up to stage 1, then the mask head (paper, figure 2, right).

Two forms of the same blocks.  "paper": the published one, output at the frame's size.
"light": depthwise-separable convolutions, nothing computed above stride 4.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn


def _convolution(channels: int, separable: bool) -> nn.Module:
    """3x3 convolution with bias, or its depthwise-separable stand-in."""
    if not separable:
        return nn.Conv2d(channels, channels, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1),
    )


class ResidualConvUnit(nn.Module):
    """``r + conv2(relu(conv1(r)))`` with ``r = relu(x)``; ``[B, C, h, w]`` both ways.

    The published unit's first ReLU works in place and so rectifies its own skip connection;
    weights trained with it need exactly that.
    """

    def __init__(self, channels: int, separable: bool = False) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, separable)
        self.conv2 = _convolution(channels, separable)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` -> ``[B, C, h, w]``; the input is left as it is."""
        rectified = functional.relu(x)
        return rectified + self.conv2(functional.relu(self.conv1(rectified)))


class FeatureFusionBlock(nn.Module):
    """One step up: add the refined lateral stage, refine, upsample by 2 (corners aligned).

    ``previous`` ``[B, C, h, w]`` (and ``lateral`` of the same size) -> ``[B, C, 2h, 2w]``, or
    ``[B, C, h, w]`` where ``upsample`` is False.  The deepest block takes no lateral; its
    ``lateral_unit`` has weights in published checkpoints all the same.
    """

    def __init__(self, channels: int, separable: bool = False, upsample: bool = True) -> None:
        super().__init__()
        self.lateral_unit = ResidualConvUnit(channels, separable)
        self.output_unit = ResidualConvUnit(channels, separable)
        self.upsample = upsample

    def forward(self, previous: Tensor, lateral: Tensor | None = None) -> Tensor:
        """See the class."""
        merged = previous if lateral is None else previous + self.lateral_unit(lateral)
        out = self.output_unit(merged)
        if not self.upsample:
            return out
        return functional.interpolate(out, scale_factor=2, mode="bilinear", align_corners=True)


class MaskHead(nn.Module):
    """``[B, C, H/2, W/2]`` -> logits ``[B, 1, H, W]``: 3x3, bilinear x2, 3x3, ReLU, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.refine = nn.Conv2d(channels // 2, 32, 3, padding=1)
        self.score = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.reduce(x)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.score(functional.relu(self.refine(x)))


class LightMaskHead(nn.Module):
    """``[B, C, H/4, W/4]`` -> logits ``[B, 1, H/4, W/4]``: 3x3 to C/2, ReLU, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.score = nn.Conv2d(channels // 2, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.score(functional.relu(self.reduce(x)))


class Decoder(nn.Module):
    """Four fusion blocks, deepest first, and the mask head.

    Four fused stages ``[B, C, h_i, w_i]`` (stage 1 first) -> (logits, the four block outputs,
    stage 1 first).  Logits: ``[B, 1, H, W]`` ("paper") or ``[B, 1, H/4, W/4]`` (``light``).
    """

    def __init__(self, channels: int, light: bool = False) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            FeatureFusionBlock(channels, separable=light, upsample=not (light and stage == 0))
            for stage in range(4)
        )
        self.head = LightMaskHead(channels) if light else MaskHead(channels)

    def forward(self, fused: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See the class."""
        out = self.paths[3](fused[3])
        outputs = [out]
        for stage in (2, 1, 0):
            out = self.paths[stage](out, fused[stage])
            outputs.append(out)
        return self.head(out), tuple(reversed(outputs))
