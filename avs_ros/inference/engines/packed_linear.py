"""Linear layers with weights in oneDNN's own order: on CPUs up to twice as fast as plain ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

# Smaller layers gain nothing, and rows are few enough for any kernel in the class heads.
_LEAST_WEIGHTS = 4096
# Rows that the order is chosen for; any number is served.
_ROWS = 196


def pack_linears(module: nn.Module) -> int:
    """Give every larger linear layer of ``module`` packed copies; how many layers that were.

    One copy serves the layer itself, one its vector-Jacobian product (see ``linear_vjp``).  The
    layer's own weight stays where it is, and is what a traced graph holds.  0 where this PyTorch
    or processor has no such kernels.
    """
    if not packing_works():
        return 0
    packed = 0
    for layer in module.modules():
        if type(layer) is nn.Linear and layer.weight.numel() >= _LEAST_WEIGHTS:
            layer.forward = _packed_forward(layer)  # type: ignore[method-assign,assignment]
            layer.packed_transpose = _reordered(layer.weight.t().contiguous())  # type: ignore[assignment]
            packed += 1
    return packed


@lru_cache(maxsize=1)
def packing_works() -> bool:
    """Whether this PyTorch has the kernels and they give a plain layer's numbers here."""
    if not torch.backends.mkldnn.is_available():
        return False
    x = torch.linspace(-1.0, 1.0, 2 * 5 * 64).reshape(2, 5, 64)
    weight = torch.linspace(-1.0, 1.0, 32 * 64).reshape(32, 64).sin()
    try:
        found = packed_product(x, _reordered(weight), None)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(found, functional.linear(x, weight), rtol=1e-5, atol=1e-4)


def packed_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight^T + bias`` for a packed ``weight``."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.contiguous(), weight, bias, "none", [], ""
    )
    return out


def _packed_forward(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    weight, bias = _reordered(layer.weight), layer.bias

    def forward(x: Tensor) -> Tensor:
        if x.ndim < 3 or torch.jit.is_tracing():
            return functional.linear(x, layer.weight, layer.bias)
        return packed_product(x, weight, bias)

    return forward


def _reordered(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)
    return packed
