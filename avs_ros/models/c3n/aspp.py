"""ASPP: each stage seen at five ranges and brought to a common width (paper, fusion part)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RATES = (6, 12, 18)


class AtrousSpatialPyramidPooling(nn.Module):
    """Five parallel views of a stage, concatenated and mixed; linear from end to end.

    In the order of concatenation: global mean -> 1x1; 1x1; 3x3 with dilation 6, 12 and 18.
    No norm and no activation anywhere; every convolution has a bias.
    ``[B, in_channels, h, w]`` -> ``[B, channels, h, w]``.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.pooled = nn.Conv2d(in_channels, channels, 1)
        self.point = nn.Conv2d(in_channels, channels, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate) for rate in RATES
        )
        self.project = nn.Conv2d((2 + len(RATES)) * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gated stage ``[B, in_channels, h, w]`` -> ``[B, channels, h, w]``."""
        # Bilinear upsampling of a single position is that position everywhere.
        everywhere = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        views = [everywhere, self.point(x), *(conv(x) for conv in self.dilated)]
        return self.project(torch.cat(views, dim=1))
