"""A backbone that remembers, while it runs, what the class-activated weights will need.

Its backward pass is made of vector-Jacobian products.  Each ``*_vjp`` takes the gradient of a
scalar with respect to a layer's output (and what the layer saw in its forward pass) and returns
the gradient with respect to the layer's input.  Nothing is computed for parameters.  Written out,
because autograd cannot be exported to an inference graph: while a graph is traced they are plain
tensor operations; otherwise those with a fused backward kernel in PyTorch use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

# Scales the backward pass: CCAM uses only the direction of the weights, so any factor serves, and
# a power of two changes no digit.  In half precision a large one keeps small gradients alive.
SEED = 1024.0


# From the gradient with respect to a part's output to that with respect to its input.
Vjp = Callable[[Tensor], Tensor]


@dataclass
class Trace:
    """One forward pass.

    ``features``: normed stage outputs ``[B, C_i, h_i, w_i]``, stage 1 first.  ``logits``:
    ``[B, K]``.  ``head``: the way back from the pooled feature ``[B, width]`` to A_4.  ``stages``:
    for each the way back from its A to that of the stage before, first part first; stage 1's is
    not gone and empty.  ``hidden``: what MobileNet's class head pools, ``[B, 1280, h_4, w_4]``.
    """

    features: list[Tensor]
    logits: Tensor
    head: Vjp
    stages: list[list[Vjp]]
    hidden: Tensor | None = None


class TracedBackbone(nn.Module):
    """Forward pass and hand-written backward pass of one kind of backbone.

    The forward pass gives exactly the numbers of the backbone that it was made from, whose
    parameters it shares.
    """

    # The last layer, and the axes of a gradient's positions.
    classifier: nn.Linear
    positions: tuple[int, ...] = (2, 3)

    def forward(self, frames: Tensor) -> Trace:
        """Normalised frames ``[B, 3, H, W]`` -> trace."""
        raise NotImplementedError

    def channel_weights(self, trace: Trace, labels: Tensor) -> list[Tensor]:
        """:data:`SEED` times mean over positions of d logit[label] / d A_i: four ``[B, C_i]``."""
        gradient = trace.head(torch.index_select(self.classifier.weight, 0, labels) * SEED)
        weights = [gradient.mean(dim=self.positions)]
        for stage in reversed(trace.stages[1:]):
            for vjp in reversed(stage):
                gradient = vjp(gradient)
            weights.append(gradient.mean(dim=self.positions))
        return weights[::-1]


def layer_norm_vjp(norm: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Tensor:
    """LayerNorm over the last axis; ``x`` is its input, same shape as ``gradient``."""
    if not torch.jit.is_tracing():
        shape = [x.shape[-1]]
        _, mean, rstd = torch.native_layer_norm(x, shape, norm.weight, norm.bias, norm.eps)
        return torch.ops.aten.native_layer_norm_backward(
            gradient, x, shape, mean, rstd, norm.weight, norm.bias, [True, False, False]
        )[0]
    wide = _at_least_single(x)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    rstd = torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + norm.eps)
    normed = centred * rstd
    g = _at_least_single(gradient * norm.weight)
    along = (g * normed).mean(dim=-1, keepdim=True)
    return ((g - g.mean(dim=-1, keepdim=True) - normed * along) * rstd).to(x.dtype)


def gelu_vjp(x: Tensor, gradient: Tensor) -> Tensor:
    """Exact (erf) GELU; ``x`` is its input."""
    if not torch.jit.is_tracing():
        return torch.ops.aten.gelu_backward(gradient, x)
    wide = _at_least_single(x)
    cdf = 0.5 * (1.0 + torch.erf(wide * math.sqrt(0.5)))
    density = torch.exp(-0.5 * wide.square()) * (1.0 / math.sqrt(2.0 * math.pi))
    return gradient * (cdf + wide * density).to(x.dtype)


def linear_vjp(linear: nn.Linear, gradient: Tensor) -> Tensor:
    """Linear layer over the last axis.

    ``packed``, where an engine has given the layer one, knows a faster way.
    """
    packed = getattr(linear, "packed", None)
    if packed is not None and packed.can(gradient):
        return packed.vjp(gradient)
    return gradient @ linear.weight


def halving_vjp(weight: Tensor, phases: Tensor, gradient: Tensor) -> Tensor:
    """Depthwise 3x3 convolution of stride 2 on an even size, padded at the bottom and right only.

    ``weight`` ``[C, 1, 3, 3]``, ``phases``: :func:`halving_phases` of it; ``gradient``
    ``[B, C, h, w]`` -> ``[B, C, 2h, 2w]``.  Engines for graphs are slow at a transposed
    convolution in groups: there it is four small kernels, one for each place in a 2x2 block.
    """
    groups = weight.shape[0]
    if not torch.jit.is_tracing():
        whole = functional.conv_transpose2d(gradient, weight, stride=2, groups=groups)
        return whole[:, :, : 2 * gradient.shape[2], : 2 * gradient.shape[3]]
    before = functional.pad(gradient, (1, 0, 1, 0))
    return functional.pixel_shuffle(functional.conv2d(before, phases, groups=groups), 2)


def halving_phases(weight: Tensor) -> Tensor:
    """``[C, 1, 3, 3]`` -> ``[4 C, 1, 2, 2]``: what falls on even and odd rows and columns."""
    # Even places take the gradient before them by the last tap and their own by the first.
    even, odd = (2, 0), (None, 1)
    phases = weight.new_zeros(weight.shape[0], 4, 2, 2)
    for index, (rows, columns) in enumerate(product((even, odd), repeat=2)):
        for (y, row), (x, column) in product(enumerate(rows), enumerate(columns)):
            if row is not None and column is not None:
                phases[:, index, y, x] = weight[:, 0, row, column]
    return phases.flatten(0, 1)[:, None]


def relu6_vjp(y: Tensor, gradient: Tensor) -> Tensor:
    """ReLU6; ``y`` is its *output* (strictly between 0 and 6 where it passes gradients)."""
    if not torch.jit.is_tracing():
        return torch.ops.aten.hardtanh_backward(gradient, y, 0.0, 6.0)
    return torch.where((y > 0) & (y < 6), gradient, torch.zeros_like(gradient))


def depthwise_vjp(weight: Tensor, gradient: Tensor) -> Tensor:
    """Depthwise convolution, stride 1, odd kernel, symmetric padding; ``weight`` [C, 1, k, k]."""
    flipped = weight.flip(2, 3)
    return functional.conv2d(
        gradient, flipped, padding=weight.shape[2] // 2, groups=weight.shape[0]
    )


def patches_vjp(weight: Tensor, gradient: Tensor, grid: tuple[int, int]) -> Tensor:
    """Convolution over patches that do not overlap (kernel = stride = r), on tokens.

    ``weight`` ``[C_out, C_in, r, r]``; ``gradient`` ``[B, N / r^2, C_out]``, row-major; ``grid``:
    the input's (h, w), N = h w.  Returns ``[B, N, C_in]``.  A matrix product in place of a
    transposed convolution, which OpenVINO 2026.4 gets wrong behind some other layers.
    """
    out, inner, r, _ = weight.shape
    batch, (h, w) = gradient.shape[0], grid
    patches = gradient @ weight.reshape(out, inner * r * r)
    patches = patches.reshape(batch, h // r, w // r, inner, r, r)
    return patches.permute(0, 1, 4, 2, 5, 3).reshape(batch, h * w, inner)


def attention_vjp(
    queries: Tensor, keys: Tensor, values: Tensor, shares: Tensor, scale: float, gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``shares @ values`` with ``shares = softmax(scale * queries @ keys^T + constant)``.

    ``queries`` ``[..., N, d]``; ``keys``, ``values`` ``[..., M, d]``; ``shares`` ``[..., N, M]``.
    Returns the gradients with respect to queries, keys and values.
    """
    for_shares = gradient @ values.transpose(-2, -1)
    for_scores = _softmax_vjp(shares, for_shares) * scale
    for_values = shares.transpose(-2, -1) @ gradient
    return for_scores @ keys, for_scores.transpose(-2, -1) @ queries, for_values


def _softmax_vjp(y: Tensor, gradient: Tensor) -> Tensor:
    """Softmax over the last axis; ``y`` is its output."""
    if not torch.jit.is_tracing():
        return torch.ops.aten._softmax_backward_data(gradient, y, -1, y.dtype)
    along = gradient * y
    return along - y * along.sum(dim=-1, keepdim=True)


def _at_least_single(x: Tensor) -> Tensor:
    """Sums and squares of half-precision numbers are taken in float32."""
    return x.float() if x.dtype == torch.float16 else x
