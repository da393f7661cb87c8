"""Pixel decoder: backbone stages -> a pyramid to attend to, and an embedding of every cell.

A feature pyramid network (Lin et al., CVPR 2017), as in MaskFormer (Cheng et al., NeurIPS 2021,
section 3.3), with depthwise separable convolutions in its light form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

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
