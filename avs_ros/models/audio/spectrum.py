"""Power spectra as one matrix product, for graphs: an exported network needs no Fourier operator.

Everything between the samples of a frame and its spectrum is linear (window, pre-emphasis, mean
removal, Fourier transform), so one matrix says it all.  Eager PyTorch keeps its own transforms;
these stand in for them while a graph is traced.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

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


def power_spectrum(waveform: Tensor, window: Tensor, fft: int, hop: int) -> Tensor:
    """Power spectra ``[B, T, fft // 2 + 1]`` of ``waveform`` ``[B, N]``, centred with reflection.

    ``window``: no longer than ``fft``; it covers the middle of each frame.
    """
    if not torch.jit.is_tracing():
        spectrum = torch.stft(
            waveform, fft, hop, len(window), window,
            center=True, pad_mode="reflect", return_complex=True,
        )  # fmt: skip
        return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
    values, length = window.numpy(), len(window)
    analysis = analysis_matrix(length, lambda x: np.fft.rfft(x * values, fft))
    # What the window leaves out on each side is never padded.
    around = fft // 2 - (fft - length) // 2
    padded = F.pad(waveform[:, None], (around, around), mode="reflect")[:, 0]
    return power_of(framed(padded, length, hop), analysis)


_ZERO_CROSSINGS = 32
_KAISER_BETA = 8.0


class DoubleRate(nn.Module):
    """Waveform [B, N] -> [B, 2N]: even samples are the input, odd ones are interpolated.

    Half-band filter: a sinc cut by a Kaiser window, 32 samples to each side (flat to about 0.93
    of the old Nyquist frequency, images below -80 dB).  Sound outside the window counts as zero.
    """

    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        positions = torch.arange(-_ZERO_CROSSINGS, _ZERO_CROSSINGS, dtype=torch.float64) + 0.5
        argument = (1.0 - (positions / _ZERO_CROSSINGS).square()).clamp(min=0.0).sqrt()
        window = torch.special.i0(_KAISER_BETA * argument)
        taps = torch.sinc(positions) * window
        # Unit gain at 0 Hz, so that a constant stays the constant it is.
        taps = taps / taps.sum()
        self.register_buffer("taps", taps.float()[None, None], False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform [B, N] -> [B, 2N]."""
        padded = F.pad(waveform[:, None], (_ZERO_CROSSINGS - 1, _ZERO_CROSSINGS))
        between = F.conv1d(padded, self.taps)[:, 0]
        return torch.stack((waveform, between), dim=2).flatten(1)
