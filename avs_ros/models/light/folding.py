"""Batch norm folded away: a convolution with a bias says the same with fewer tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


class FoldedNorm(nn.Module):
    """What stands where a batch norm was: its activation, and its numbers for those who ask.

    As a norm it is the identity on a convolution that carries the bias itself.
    """

    eps = 0.0

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        self.act = activation
        # Not a child: the convolution's tensors must not be stored twice.
        self._carrier = (convolution,)

    def forward(self, x: Tensor) -> Tensor:
        """The activation alone."""
        out: Tensor = self.act(x)
        return out

    @property
    def weight(self) -> Tensor:
        """Scale: ones ``[C]``."""
        return torch.ones_like(self.bias)

    @property
    def bias(self) -> Tensor:
        """The convolution's bias ``[C]``."""
        bias: Any = self._carrier[0].bias
        return bias.detach()

    @property
    def running_mean(self) -> Tensor:
        """Zeros; the bias is added by the convolution, so ``bias - mean * scale`` is the bias."""
        return torch.zeros_like(self.bias)

    @property
    def running_var(self) -> Tensor:
        """Ones ``[C]``."""
        return torch.ones_like(self.bias)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every batch norm that directly follows a convolution into it, in place.

    The norm's stored statistics are used (evaluation mode); an activation that the norm carries
    (timm's ``BatchNormAct2d``) stays.  Every weight and bias remains trainable.
    """
    names = list(module._modules)
    for name, following in pairwise(names):
        convolution, norm = module._modules[name], module._modules[following]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            _fold(convolution, norm)
            activation = getattr(norm, "act", nn.Identity())
            module._modules[following] = FoldedNorm(convolution, activation)
    for child in module.children():
        fold_batch_norm(child)
    return module


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        return
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias * scale
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias = nn.Parameter(bias.clone())
