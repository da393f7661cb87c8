"""One CUDA graph for the whole step: a single launch in place of some two thousand."""

from __future__ import annotations

import copy
import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from avs_ros.errors import MissingDependencyError
from avs_ros.inference.engines.prepared import Array, Results, cache_folder
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.engines.torch_eager import channels_last

_WARM_UP = 3


class CudaGraphRunner:
    """The program captured once and replayed per frame; half precision unless told otherwise.

    Everything has static shapes, the label's arg-max and the gather of its head row happen on
    the device, and inputs and outputs live in fixed buffers behind pinned host memory.
    """

    engine = "cuda-graph"

    def __init__(
        self, program: StepProgram, device: str, half: bool = True, compiled: bool = False
    ) -> None:
        """``compiled``: by TorchInductor first, which joins small kernels into few (minutes)."""
        self.device = device
        self._device = torch.device(device)
        with torch.cuda.device(self._device):
            module = copy.deepcopy(program.module).to(self._device)
            if half:
                to_half(module)
            self._step = _compiled(module) if compiled else module
            dtypes = input_dtypes(program, half)
            self._host = [torch.from_numpy(x).clone().pin_memory() for x in program.example]
            self._inputs = [x.to(self._device) for x in self._host]
            self._stream = torch.cuda.Stream(self._device)
            self._graph = torch.cuda.CUDAGraph()
            self._outputs = self._capture(dtypes)
            self._results = [
                torch.empty(x.shape, dtype=x.dtype, pin_memory=True) for x in self._outputs
            ]

    def _capture(self, dtypes: Sequence[torch.dtype]) -> list[Tensor]:
        def run() -> list[Tensor]:
            # Convolutions in full float32: TF32 has 10 bits of mantissa, and is on by itself.
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                return replayed(self._step, self._inputs, dtypes)

        # Libraries pick their kernels and workspaces on first use, outside the capture.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(self._stream)
        with torch.no_grad(), torch.cuda.graph(self._graph, stream=self._stream):
            return run()

    def __call__(self, *inputs: Array) -> Results:
        """See :class:`StepRunner`."""
        with torch.cuda.stream(self._stream):
            for host, static, array in zip(self._host, self._inputs, inputs, strict=True):
                host.copy_(torch.from_numpy(array))
                static.copy_(host, non_blocking=True)
            self._graph.replay()
            for result, out in zip(self._results, self._outputs, strict=True):
                result.copy_(out, non_blocking=True)
        self._stream.synchronize()
        return tuple(result.numpy() for result in self._results)

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._graph, self._inputs, self._outputs, self._step


def _compiled(module: nn.Module) -> Callable[..., Sequence[Tensor]]:
    """The module by TorchInductor, which keeps what it compiled in this project's cache."""
    if importlib.util.find_spec("triton") is None:
        raise MissingDependencyError(
            "Triton", "engine cuda-graph-compiled",
            "pip install triton (comes with PyTorch for CUDA on x86-64)",
        )  # fmt: skip
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    # Its convolutions work channels-last; weights that are not would be copied at every step.
    channels_last(module)
    return cast(
        "Callable[..., Sequence[Tensor]]", torch.compile(module, fullgraph=True, dynamic=False)
    )


def replayed(
    step: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor],
    dtypes: Sequence[torch.dtype],
) -> list[Tensor]:
    """What the graph holds: inputs to ``dtypes``, the step, floating-point outputs to float32."""
    out = step(*(x.to(dtype) for x, dtype in zip(inputs, dtypes, strict=True)))
    return [t.float() if t.is_floating_point() else t for t in out]


def to_half(module: nn.Module) -> nn.Module:
    """Half precision in place, except :func:`single_parts`."""
    for part in single_parts(module, kept=False).values():
        for name, parameter in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(parameter.detach().half(), requires_grad=False))
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(part, name, buffer.half())
    return module


def input_dtypes(program: StepProgram, half: bool) -> list[torch.dtype]:
    """What a step takes, per input: float16 where ``half``, unless it goes to float32 parts."""
    if not half or "" in single_parts(program.module):
        return [torch.float32] * len(program.inputs)
    single = getattr(program.module, "single_inputs", ())
    return [torch.float32 if name in single else torch.float16 for name in program.inputs]


def single_parts(module: nn.Module, kept: bool = True) -> dict[str, nn.Module]:
    """Name -> part that stays in float32 where the rest is half (or, not ``kept``, the rest).

    A part says so with ``keep_single``, for itself and all that is in it which says nothing else:
    the label inference, and AVSC, whose queries look where a threshold lets them.
    """
    found: dict[str, nn.Module] = {}

    def walk(name: str, part: nn.Module, single: bool) -> None:
        single = bool(getattr(part, "keep_single", single))
        if single == kept:
            found[name] = part
        for child, inner in part.named_children():
            walk(f"{name}.{child}" if name else child, inner, single)

    walk("", module, False)
    return found
