"""Eager PyTorch: the reference, and what is always there."""

from __future__ import annotations

import copy

import torch

from avs_ros.inference.engines.packed_linear import pack_linears
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
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
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
