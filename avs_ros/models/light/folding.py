"""Batch norm folded away: a convolution with a bias says the same with fewer tensors."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every batch norm that directly follows a convolution into it, in place.

    The norm's stored statistics are used (evaluation mode); an activation that the norm carries
    (timm's ``BatchNormAct2d``) stands where it was.  Every weight and bias remains trainable.
    """
    for name, following in pairwise(list(module._modules)):
        convolution, norm = module._modules[name], module._modules[following]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            _fold(convolution, norm)
            module._modules[following] = getattr(norm, "act", nn.Identity())
    for child in module.children():
        fold_batch_norm(child)
    return module


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias * scale
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias = nn.Parameter(bias.clone())
