"""The rules of CUDA graph capture, checked without a GPU.

A captured step may not wait for the GPU, nor may the shape of anything in it depend on values, nor
may it move data between host and GPU.  The step runs here on tensors that say they are on a CUDA
device and hold nothing (``FakeTensorMode``), so a network of any size takes seconds; what breaks a
rule raises :class:`CaptureError`.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from layer_modes import LayerMode
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from avs_ros.inference.engines.cuda_graph import input_dtypes, replayed, to_half
from avs_ros.inference.engines.program import StepProgram

# Operators that PyTorch does not tag, though their CUDA kernels wait or fetch from the host.
_WAIT = frozenset({"aten::bincount", "aten::histc", "aten::_linalg_check_errors"})
_FROM_HOST = frozenset({"aten::lift_fresh", "aten::_pin_memory", "aten::from_file"})


class CaptureError(RuntimeError):
    """A step that cannot be captured: the operator, the module it is in, and the rule."""


@dataclass
class CaptureRules(LayerMode):
    """While active, each operator is held to the rules.

    ``device``: type of device that everything must be on.  ``counts``: operators seen.
    """

    device: str = "cuda"
    counts: Counter[str] = field(default_factory=Counter)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Judge the operator, run it, judge where its results are."""
        name = func._schema.name
        self.counts[str(func)] += 1
        if torch.Tag.data_dependent_output in func.tags or name in _WAIT:
            self._refuse(func, "waits for a value on the GPU")
        shaped = torch.Tag.dynamic_output_shape in func.tags and not name.startswith("aten::index")
        if shaped or _by_mask(name, args):
            self._refuse(func, "gives a shape that depends on values")
        if name in _FROM_HOST:
            self._refuse(func, "brings data from the host")
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, out)):
            if isinstance(tensor, Tensor) and tensor.device.type != self.device:
                # A scalar argument on the host is passed by value.
                if tensor.ndim == 0 and not any(tensor is made for made in tree_leaves(out)):
                    continue
                self._refuse(func, f"has a tensor on {tensor.device.type}, not {self.device}")
        return out

    def _refuse(self, func: Any, rule: str) -> None:
        raise CaptureError(f"{func} in {self.where or 'the step'} {rule}")


def _by_mask(name: str, args: tuple[Any, ...]) -> bool:
    """Indexing with a mask of booleans is ``nonzero`` in disguise."""
    if name not in ("aten::index", "aten::index_put", "aten::index_put_"):
        return False
    return any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1])


def check_capture(program: StepProgram, half: bool = True, device: str = "cuda") -> Counter[str]:
    """Run ``program`` once under the rules, as the CUDA graph would; operators by count.

    ``half``: in half precision.  Raises :class:`CaptureError`.
    """
    dtypes = input_dtypes(program, half)
    module = copy.deepcopy(program.module)
    module = to_half(module) if half else module
    rules = CaptureRules(device)
    with FakeTensorMode(), torch.no_grad(), rules.following(module):
        tensors = {
            name: torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=device)
            for name, x in [*module.named_parameters(), *module.named_buffers()]
        }
        inputs = [torch.empty(tuple(shape), device=device) for shape in program.inputs.values()]
        try:
            with rules:
                outputs = replayed(_Placed(module, tensors), inputs, dtypes)
        except CaptureError:
            raise
        except (RuntimeError, AssertionError) as error:  # what fake tensors refuse themselves
            raise CaptureError(f"{rules.where or 'the step'}: {error}") from error
        if len(outputs) != len(program.outputs):
            raise CaptureError(f"{len(outputs)} outputs where {len(program.outputs)} are named")
    return rules.counts


class _Placed(nn.Module):
    """``module`` with other tensors in place of its own."""

    def __init__(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self._call: Callable[..., Any] = lambda *x: functional_call(module, tensors, x)

    def forward(self, *inputs: Tensor) -> Any:
        return self._call(*inputs)
