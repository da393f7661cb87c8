"""What rooms, microphones and distance do to a sound (NumPy, 16 kHz mono)."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, lfilter

from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE

COMPANION_DB = (-12.0, 6.0)
Random = np.random.Generator


def noise(rng: Random, n: int) -> Float:
    """White to brown noise, sometimes with a hum; RMS 1."""
    white = rng.standard_normal(n)
    pole = rng.choice([0.0, 0.7, 0.95, 0.99])
    x = lfilter([1.0], [1.0, -pole], white)
    if rng.random() < 0.2:
        hum = np.sin(2 * np.pi * rng.choice([50, 60, 100, 120]) * np.arange(n) / SAMPLE_RATE)
        x = x / (x.std() + 1e-9) + 2 * hum
    return np.asarray(x / (x.std() + 1e-9), np.float32)


def reverberate(rng: Random, x: Float) -> Float:
    """A room: exponentially decaying noise tail of 0.1..0.7 s."""
    decay = rng.uniform(0.1, 0.7)
    n = int(decay * SAMPLE_RATE)
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    tail *= rng.uniform(0.05, 0.5) / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] = 1.0
    return np.asarray(fftconvolve(x, tail)[: len(x)], np.float32)


def equalise(rng: Random, x: Float) -> Float:
    """A cheap microphone or loudspeaker: one-pole low-pass and high-pass."""
    low = rng.uniform(0.0, 0.75)
    x = lfilter([1 - low], [1.0, -low], x)
    high = rng.uniform(0.0, 0.15)
    return np.asarray(x - lfilter([high], [1.0, high - 1.0], x), np.float32)


def level(x: Float) -> float:
    """RMS of the loudest eighth of a second."""
    n = SAMPLE_RATE // 8
    if len(x) < n:
        return float(np.sqrt(np.mean(x**2) + 1e-12))
    blocks = x[: len(x) // n * n].reshape(-1, n)
    return float(np.sqrt((blocks**2).mean(1).max() + 1e-12))


def together(rng: Random, first: Float, second: Float) -> tuple[Float, float]:
    """Two sounds in one microphone, and how loud the second one is beside the first, dB."""
    companion_logits = float(rng.uniform(*COMPANION_DB))
    gain = level(first) / max(level(second), 1e-5) * 10 ** (companion_logits / 20)
    return first + second * np.float32(gain), companion_logits


def distort(rng: Random, x: Float, clean_share: float = 0.25) -> Float:
    """Random room, microphone, background noise (SNR 3..40 dB) and gain (-45..-6 dBFS)."""
    if rng.random() > clean_share:
        if rng.random() < 0.5:
            x = reverberate(rng, x)
        if rng.random() < 0.4:
            x = equalise(rng, x)
        if rng.random() < 0.7:
            snr = rng.uniform(3, 40)
            x = x + noise(rng, len(x)) * np.float32(level(x) * 10 ** (-snr / 20))
    target = 10 ** (rng.uniform(-40, -6) / 20)
    gain = target / max(level(x), 1e-5)
    return np.asarray(np.clip(x * np.float32(gain), -1, 1), np.float32)
