"""A small formant synthesiser: voices made of numbers, so that the demo ships no recording.

Source and filter, as in Fant, *Acoustic Theory of Speech Production* (1960): harmonics of a
gliding fundamental, shaped by a cascade of resonances that move from sound to sound (the
parameters of Klatt, JASA 67, 1980), plus noise for breath, fricatives and bursts.  Tracks are
sampled every 5 ms and interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

STEP_S = 0.005
Track = NDArray[np.float64]


@dataclass(frozen=True)
class Tract:
    """What the vocal tract does at one moment; a voice moves from one to the next.

    ``formants`` in Hz (four of them); ``voice``, ``breath`` and ``hiss`` are linear amplitudes of
    the voiced source, of noise through the formants, and of a noise band around ``hiss_hz``.
    """

    formants: tuple[float, float, float, float]
    voice: float = 1.0
    breath: float = 0.02
    hiss: float = 0.0
    hiss_hz: float = 5000.0
    damping: float = 1.0


def hold(
    steps: Sequence[tuple[float, Tract]], glide_s: float = 0.04
) -> tuple[dict[str, Track], float]:
    """(duration s, tract) one after the other -> tracks sampled every 5 ms, and their length.

    Parameters move smoothly over ``glide_s`` between neighbours (coarticulation); amplitudes
    move four times faster, so that bursts stay bursts.
    """
    edges = np.cumsum([0.0] + [duration for duration, _ in steps])
    count = round(edges[-1] / STEP_S)
    owner = np.searchsorted(edges[1:], (np.arange(count) + 0.5) * STEP_S).clip(0, len(steps) - 1)
    rows = {
        **{f"f{i}": [tract.formants[i] for _, tract in steps] for i in range(4)},
        "damping": [tract.damping for _, tract in steps],
        "hiss_hz": [tract.hiss_hz for _, tract in steps],
        "voice": [tract.voice for _, tract in steps],
        "breath": [tract.breath for _, tract in steps],
        "hiss": [tract.hiss for _, tract in steps],
    }
    tracks = {}
    for name, values in rows.items():
        width = glide_s / 4 if name in ("voice", "breath", "hiss") else glide_s
        kernel = np.hanning(max(3, 2 * round(width / STEP_S) + 1))
        padded = np.pad(np.asarray(values, float)[owner], len(kernel) // 2, mode="edge")
        tracks[name] = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return tracks, count * STEP_S


def _response(frequency: Track, tracks: dict[str, Track]) -> NDArray[np.complex128]:
    """Cascade of four resonances at ``frequency`` [steps] or [bins, steps]; complex gain."""
    gain = np.ones(np.broadcast(frequency, tracks["f0"]).shape, complex)
    for i in range(4):
        centre = tracks[f"f{i}"]
        width = (50.0 + 0.06 * centre) * tracks["damping"]
        gain *= centre**2 / (centre**2 - frequency**2 + 1j * frequency * width)
    return gain


def sing(
    tracks: dict[str, Track],
    pitch_hz: Track,
    rate_hz: int,
    seed: int,
    tilt_hz: float = 900.0,
    roughness: float = 0.01,
) -> NDArray[np.float64]:
    """Sound of the tracks at ``pitch_hz`` (one value per step), peak 1, ``[n]`` at ``rate_hz``.

    ``tilt_hz``: above it the source's harmonics fall by a further 6 dB per octave; lower is
    softer.  ``roughness``: relative jitter of the pitch and shimmer of the amplitude.
    """
    rng = np.random.default_rng(seed)
    steps = len(pitch_hz)
    count = round(steps * STEP_S * rate_hz)
    grid = (np.arange(steps) + 0.5) * STEP_S * rate_hz
    at = np.arange(count)

    def smooth_noise(width: int) -> Track:
        noise = np.convolve(rng.standard_normal(steps + width), np.hanning(width + 2)[1:-1])
        return noise[width // 2 : width // 2 + steps] / float(np.sqrt(width))

    pitch = pitch_hz * (1 + roughness * smooth_noise(3) + 0.6 * roughness * smooth_noise(25))
    shimmer = 1 + 4 * roughness * smooth_noise(4)
    phase = 2 * np.pi * np.cumsum(np.interp(at, grid, pitch)) / rate_hz
    voiced = np.zeros(count)
    for k in range(1, int(0.45 * rate_hz / pitch.min()) + 1):
        frequency = k * pitch
        gain = _response(frequency, tracks) / np.hypot(1, frequency / tilt_hz) / np.sqrt(k)
        gain *= tracks["voice"] * shimmer * (frequency < 0.45 * rate_hz)
        amplitude = np.interp(at, grid, np.abs(gain))
        angle = np.interp(at, grid, np.unwrap(np.angle(gain)))
        voiced += amplitude * np.sin(k * phase + angle)
    voiced /= max(np.abs(voiced).max(), 1e-9)
    return voiced + _noise(tracks, count, rate_hz, rng)


def _noise(
    tracks: dict[str, Track], count: int, rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Breath through the formants and hiss around its own centre, shaped in short frames."""
    size = 2 ** int(np.log2(0.012 * rate_hz))
    f, t, spectrum = signal.stft(rng.standard_normal(count), rate_hz, nperseg=size)
    at = np.clip(t / STEP_S - 0.5, 0, len(tracks["f0"]) - 1)
    place = np.arange(len(tracks["f0"]))
    now = {name: np.interp(at, place, track) for name, track in tracks.items()}
    f = f[:, None]
    through = np.abs(_response(f, now)) / np.hypot(1, 1500.0 / np.maximum(f, 1))
    band = np.exp(-0.5 * (np.log2(np.maximum(f, 1) / now["hiss_hz"]) / 0.45) ** 2)
    shaped = spectrum * (0.3 * now["breath"] * through + 1.5 * now["hiss"] * band)
    _, sound = signal.istft(shaped, rate_hz, nperseg=size)
    return np.pad(sound, (0, max(0, count - len(sound))))[:count]
