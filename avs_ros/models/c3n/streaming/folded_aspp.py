"""ASPP with its closing 1x1 convolution folded into each branch: the same map, less work."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.c3n.aspp import RATES, AtrousSpatialPyramidPooling


class FoldedPyramidPooling(nn.Module):
    """An :class:`AtrousSpatialPyramidPooling` for maps of one size, ``side`` x ``side``.

    Nothing in ASPP is non-linear, so with P the closing 1x1, split by branch: the pooled branch
    is a matrix on the mean; the 1x1 branch is one matrix; a dilated branch is a dilated
    convolution with P's rows mixed in.  A dilation of ``side`` or more reads only padding
    around its centre, so all that is left of it joins the 1x1 branch.
    """

    pooled: Tensor
    point: Tensor
    bias: Tensor

    def __init__(self, aspp: AtrousSpatialPyramidPooling, side: int) -> None:
        super().__init__()
        channels = aspp.project.weight.shape[0]
        dtype = aspp.project.weight.dtype
        shares = aspp.project.weight.detach()[:, :, 0, 0].double().split(channels, dim=1)
        bias = aspp.project.bias
        if bias is None or aspp.pooled.bias is None or aspp.point.bias is None:
            raise ValueError("every convolution of ASPP has a bias")
        total = bias.detach().double()
        total = total + shares[0] @ aspp.pooled.bias.detach().double()
        total = total + shares[1] @ aspp.point.bias.detach().double()
        point = shares[1] @ aspp.point.weight.detach()[:, :, 0, 0].double()
        self.rates: list[int] = []
        kernels = []
        for rate, share, branch in zip(RATES, shares[2:], aspp.dilated, strict=True):
            weight = branch.weight.detach().double()  # type: ignore[operator]
            total = total + share @ branch.bias.detach().double()  # type: ignore[operator]
            kernel = torch.einsum("om,mikl->oikl", share, weight)
            if rate >= side:
                point = point + kernel[:, :, 1, 1]
            else:
                self.rates.append(rate)
                kernels.append(kernel.to(dtype))
        pooled = shares[0] @ aspp.pooled.weight.detach()[:, :, 0, 0].double()
        self.register_buffer("pooled", pooled.to(dtype), persistent=False)
        self.register_buffer("point", point.to(dtype)[:, :, None, None], persistent=False)
        self.register_buffer("bias", total.to(dtype), persistent=False)
        for number, kernel in enumerate(kernels):
            self.register_buffer(f"kernel{number}", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Gated stage ``[B, in_channels, side, side]`` -> ``[B, channels, side, side]``."""
        out = functional.conv2d(x, self.point, self.bias)
        for number, rate in enumerate(self.rates):
            kernel = getattr(self, f"kernel{number}")
            out = out + functional.conv2d(x, kernel, padding=rate, dilation=rate)
        everywhere = functional.linear(x.mean(dim=(2, 3)), self.pooled)
        return out + everywhere[:, :, None, None]
