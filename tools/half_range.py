"""How large a step's numbers get, against what half precision can hold.

The step runs on the CPU in float32, and every result of every operator in it is looked at: the
largest magnitude must stay below 65504.  Parts that stay in float32 are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from layer_modes import LayerMode
from torch import Tensor
from torch.utils._pytree import tree_leaves

from avs_ros.inference.engines.cuda_graph import single_parts
from avs_ros.inference.engines.prepared import Array
from avs_ros.inference.engines.program import StepProgram

LARGEST = 65504.0


@dataclass
class Range:
    """Of one layer: the ``largest`` magnitude, and the ``operator`` that gave it."""

    largest: float = 0.0
    operator: str = ""


@dataclass
class HalfRanges(LayerMode):
    """While active, keeps a :class:`Range` for each layer (``where``), by module name."""

    ranges: dict[str, Range] = field(default_factory=dict)
    single: frozenset[str] = frozenset()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and look at what it gives."""
        out = func(*args, **(kwargs or {}))
        if self.where in self.single:
            return out
        with torch._C._DisableTorchDispatch():
            for tensor in tree_leaves(out):
                if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
                    self._look(str(func), tensor)
        return out

    def _look(self, operator: str, tensor: Tensor) -> None:
        size = tensor.detach().abs()
        known = self.ranges.setdefault(self.where, Range())
        # Scores of what is masked out are minus infinity by intention.
        finite = torch.where(size.isinf(), torch.zeros_like(size), size)
        largest = float(finite.amax())
        if largest > known.largest or np.isnan(largest):
            known.largest, known.operator = largest, operator


def trace_half_range(
    program: StepProgram, inputs: Sequence[Array] | None = None
) -> dict[str, Range]:
    """Layer -> its :class:`Range`, over one run on ``inputs`` (None: the program's fixed ones)."""
    module = program.module
    mode = HalfRanges(single=frozenset(single_parts(module)))
    with mode.following(module), torch.no_grad(), mode, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module(*(torch.from_numpy(np.array(x)) for x in (inputs or program.example)))
    return mode.ranges


def widest(ranges: Mapping[str, Range]) -> tuple[str, Range]:
    """The layer with the largest number; ("", 0) where all stays in float32."""
    return max(ranges.items(), key=lambda item: item[1].largest, default=("", Range()))
