"""Power spectra as one matrix product, for graphs: an exported network needs no Fourier operator.

Everything between the samples of a frame and its spectrum is linear (window, pre-emphasis, mean
removal, Fourier transform), so one matrix says it all.  Eager PyTorch keeps its own transforms;
these stand in for them while a graph is traced.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Frames = NDArray[np.float64]
Spectra = NDArray[np.complex128]


def analysis_matrix(length: int, transform: Callable[[Frames], Spectra]) -> Tensor:
    """``[length, 2 F]`` float32, real parts first, of a linear ``transform``.

    ``transform``: frames ``[n, length]`` -> spectra ``[n, F]``; in NumPy, so that a graph that is
    being traced records the result alone.
    """
    spectra = transform(np.eye(length))
    both = np.concatenate([spectra.real, spectra.imag], axis=1)
    return torch.from_numpy(both.astype(np.float32))


def framed(waveform: Tensor, length: int, hop: int) -> Tensor:
    """Frames ``[B, T, length]`` of ``waveform`` ``[B, N]``, T = (N - length) // hop + 1.

    Made of whole rows of ``hop`` samples, side by side: no gather in the graph.
    """
    count = (waveform.shape[1] - length) // hop + 1
    rows = -(-length // hop)
    needed = (count + rows - 1) * hop
    short = needed - waveform.shape[1]
    if short > 0:
        waveform = torch.nn.functional.pad(waveform, (0, short))
    grid = waveform[:, :needed].reshape(waveform.shape[0], -1, hop)
    parts = [grid[:, row : row + count] for row in range(rows)]
    return torch.cat(parts, dim=2)[:, :, :length]


def power_of(frames: Tensor, analysis: Tensor) -> Tensor:
    """Power spectra ``[B, T, F]`` of ``frames`` ``[B, T, length]``."""
    real, imaginary = (frames @ analysis).chunk(2, dim=2)
    return real.square() + imaginary.square()
