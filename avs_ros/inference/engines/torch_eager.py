"""Eager PyTorch: the reference, and what is always there.

Linear layers hold their weights in oneDNN's own order: on CPUs up to twice as fast as plain ones.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.inference.engines.prepared import Array, Results
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.engines.threads import computing_threads


class TorchRunner:
    """The program's module on a device, float32; on the CPU itself, with packed linear layers."""

    engine = "torch"

    def __init__(self, program: StepProgram, device: str) -> None:
        self.device = device
        self._device = torch.device(device)
        on_cpu = self._device.type == "cpu"
        if threads := computing_threads():
            torch.set_num_threads(threads)
        module = program.module if on_cpu else copy.deepcopy(program.module).to(device)
        # Features come channels-last from the transformers; such kernels need no reordering.
        channels_last(module)
        if on_cpu:
            pack_linears(module)
        self._module = module

    @torch.no_grad()
    def __call__(self, *inputs: Array) -> Results:
        """See :class:`StepRunner`; convolutions in full float32 on a GPU too."""
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            out = self._module(*(torch.from_numpy(x).to(self._device) for x in inputs))
        return tuple(tensor.cpu().numpy() for tensor in out)

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._module


def channels_last(module: nn.Module) -> None:
    """Weights of convolutions in that order of memory, in place; their values stay."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


# Smaller layers gain nothing, and rows are few enough for any kernel in the class heads.
_LEAST_WEIGHTS = 4096
# Rows that the order is chosen for; any number is served.
_ROWS = 196


class PackedWeight:
    """Packed copies of a layer's weight: for the layer, and for its vector-Jacobian product.

    Once made it stands in for the layer's forward pass, and is found by ``linear_vjp``.

    The layer's own weight stays where it is: it is what a graph records (autograd's or an
    exported one), and what serves once it has changed.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self._layer = layer
        self._mark: tuple[int, int] | None = _mark(layer.weight)
        self._packed = _reordered(layer.weight)
        self._transposed = _reordered(layer.weight.t().contiguous())
        layer.packed = self  # type: ignore[assignment]
        layer.forward = self.forward  # type: ignore[method-assign,assignment]

    def can(self, x: Tensor) -> bool:
        """Whether ``x`` may go through packed weights here and now."""
        recording = torch.is_grad_enabled() or torch.jit.is_tracing()
        return x.ndim > 2 and not recording and self._mark == _mark(self._layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The layer: ``[..., in]`` -> ``[..., out]``."""
        if self.can(x):
            return packed_product(x, self._packed, self._layer.bias)
        return functional.linear(x, self._layer.weight, self._layer.bias)

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedWeight:
        """Of a copied layer: it works from its own weight, unpacked."""
        made = PackedWeight.__new__(PackedWeight)
        memo[id(self)] = made
        made._layer, made._mark = copy.deepcopy(self._layer, memo), None
        return made

    def vjp(self, gradient: Tensor) -> Tensor:
        """Gradient with respect to the layer's input: ``[..., out]`` -> ``[..., in]``."""
        return packed_product(gradient, self._transposed, None)


def pack_linears(module: nn.Module) -> int:
    """Pack every larger linear layer of ``module``; how many layers that were.

    0 where this PyTorch or processor has no such kernels.
    """
    if not packing_works():
        return 0
    layers = [
        layer
        for layer in module.modules()
        if type(layer) is nn.Linear and layer.weight.numel() >= _LEAST_WEIGHTS
    ]
    for layer in layers:
        PackedWeight(layer)
    return len(layers)


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
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
    return out


def _mark(weight: Tensor) -> tuple[int, int]:
    """Differs once the weight has been written to or replaced."""
    # Tensors made in inference mode have no version; nor are they trained.
    return weight.data_ptr(), -1 if weight.is_inference() else weight._version


def _reordered(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)
    return packed
