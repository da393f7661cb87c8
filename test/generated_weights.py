"""Weights made from tensor names alone, as the reference results were computed with them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Outputs of the published code (see the README there).
REFERENCE = Path(__file__).parent / "data" / "reference"


def generated_tensor(key: str, shape: tuple[int, ...], gain: float = 1.0) -> Tensor:
    """The tensor that the weight rule gives ``key``: seeded by its CRC, scaled by its kind."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    seed = zlib.crc32(key.encode("utf-8")) & 0xFFFFFFFF
    noise = np.random.RandomState(seed).standard_normal(shape)
    if key.endswith("running_var"):
        values = 1 + 0.1 * np.abs(noise)
    elif key.endswith("running_mean"):
        values = 0.1 * noise
    elif key.endswith("weight_g"):
        values = 2 * (1 + 0.1 * noise)
    elif key.endswith("bias"):
        values = 0.05 * noise
    elif len(shape) == 1:
        values = 1 + 0.1 * noise
    else:
        values = noise * (gain / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def generated_from_list(keys_and_shapes: Iterable[str], gain: float = 1.0) -> dict[str, Tensor]:
    """Tensors for a list of ``key|(shape)`` lines."""
    tensors = {}
    for line in keys_and_shapes:
        key, shape = str(line).split("|")
        sizes = tuple(int(size) for size in shape.strip("()").split(",") if size.strip())
        tensors[key] = generated_tensor(key, sizes, gain)
    return tensors


def generated_like(state_dict: Mapping[str, Tensor], gain: float = 1.0) -> dict[str, Tensor]:
    """Tensors with the names and shapes of ``state_dict``."""
    return {
        key: generated_tensor(key, tuple(value.shape), gain) for key, value in state_dict.items()
    }
