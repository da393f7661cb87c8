"""A model's per-frame computation as a pure function of arrays, ready for any engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from avs_ros.inference.engines.prepared import Array, Results, code_digest
from avs_ros.sound import SAMPLE_RATE


@dataclass(frozen=True)
class StepProgram:
    """One step of a model.

    ``module``: takes and returns tensors, in evaluation mode, float32, on the CPU; static shapes
    and no side effects.  ``inputs``: name -> shape, all float32; they include ``frame``
    ``[1, 3, S, S]`` and, where the step has a memory, ``past`` (states of earlier frames, first
    axis) and ``shares``.  ``outputs``: names; with a memory also ``state``, a row for ``past``.
    ``decision``: an integer output that every exact engine must reproduce, "" for none.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Sequence[int]]
    outputs: Sequence[str]
    decision: str = "label"

    def run_eagerly(self, inputs: Sequence[Array]) -> Results:
        """The module itself on the CPU: what every engine is measured against."""
        with torch.no_grad():
            out = self.module(*(torch.from_numpy(np.array(x)) for x in inputs))
        return tuple(np.array(tensor.numpy()) for tensor in out)

    @cached_property
    def example(self) -> tuple[Array, ...]:
        """Fixed inputs: coarse shapes, some sound, and a past made by the module itself."""
        drawn = self._drawn(seed=0)
        names = list(self.inputs)
        if "past" not in names:
            return tuple(drawn)
        past, shares = names.index("past"), names.index("shares")
        state = self.outputs.index("state")
        count = self.inputs["shares"][0]
        rows: list[np.ndarray] = []
        for step in range(count - 1):
            earlier = self._drawn(seed=step + 1)
            earlier[past] = np.zeros(self.inputs["past"], np.float32)
            earlier[shares] = np.eye(count, dtype=np.float32)[-1]
            rows.append(self.run_eagerly(earlier)[state])
        drawn[past] = np.array(rows, np.float32).reshape(self.inputs["past"])
        drawn[shares] = np.full(count, 1.0 / count, np.float32)
        return tuple(drawn)

    @cached_property
    def expected(self) -> Results:
        """Eager outputs for :attr:`example`."""
        return self.run_eagerly(self.example)

    @property
    def graph(self) -> Path:
        """The exported file in the cache, made now if it is not there yet."""
        from avs_ros.inference.export import exported

        return exported(self)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, constants, shapes and code; names cached engine files."""
        about = (self.name, list(self.inputs.items()), list(self.outputs), code_digest())
        digest = hashlib.sha256(repr(about).encode())
        tensors = [*self.module.named_parameters(), *self.module.named_buffers()]
        for name, tensor in sorted(tensors, key=lambda item: item[0]):
            digest.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().data)
        return digest.hexdigest()

    def _drawn(self, seed: int) -> list[Array]:
        random = np.random.RandomState(seed)
        drawn: list[Array] = []
        for name, shape in self.inputs.items():
            if len(shape) == 4:  # an image
                coarse = random.standard_normal((1, 3, shape[2] // 16, shape[3] // 16))
                values = coarse.repeat(16, axis=2).repeat(16, axis=3)
                values = values + 0.3 * random.standard_normal(values.shape)
            elif name == "waveform":
                time = np.arange(shape[1]) / SAMPLE_RATE
                values = 0.1 * np.sin(2 * np.pi * 440.0 * time)
                values = values + 0.02 * random.standard_normal(shape)
            elif name == "audio_feature":
                values = np.maximum(random.standard_normal(shape), 0)
            else:
                values = 3.0 * random.standard_normal(shape)
            drawn.append(values.astype(np.float32))
        return drawn
