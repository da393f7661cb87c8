"""The demo's scene: a cat and an astronaut take turns to make a sound, and fall silent.

Images: ``chelsea`` (CC0) and ``astronaut`` (public domain, NASA), both inside the wheel of
scikit-image.  Sound: voices made by ``recipes.voices``.  Nothing is downloaded, nothing random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.signal import fftconvolve

from avs_ros.errors import optional
from avs_ros.media.video_writer import VideoWriter
from avs_ros.segmentation import Bytes

WIDTH, HEIGHT, FPS = 640, 360, 25
SECONDS = 20.0
GAP_PX = 4
PEAK = 0.4
# Below the silence gate of -60 dBFS: the microphone's own noise.
NOISE = 3e-4

RATE_HZ = 32000
Samples = NDArray[np.float64]
VOICES = Path(__file__).parents[1] / "data" / "voices.safetensors"


@lru_cache(maxsize=1)
def voices() -> dict[str, Samples]:
    """Name -> samples ``[n]`` at 32 kHz, dry, peak about 1: sentences of a woman, meows of a cat.

    ``sentence 1`` to ``4``, ``demo meow 1`` to ``8``, ``meow 1`` to ``3``.
    """
    return {name: kept / 32000.0 for name, kept in load_file(VOICES).items()}


@dataclass(frozen=True)
class Turn:
    """Who sounds (``cat`` or ``person``) from ``start`` to ``end`` (s)."""

    who: str
    start: float
    end: float


def _parts() -> dict[str, list[tuple[float, Samples]]]:
    """Sounds of each actor with their start times."""
    sounds = voices()
    meows = (1.0, 1.95, 2.9, 3.95, 12.6, 13.5, 14.6, 15.5)
    return {
        "cat": [(start, sounds[f"demo meow {n}"]) for n, start in enumerate(meows, 1)],
        "person": [
            (start, sounds[f"sentence {n}"]) for n, start in enumerate((6.4, 8.1, 10.2, 15.0), 1)
        ],
    }


def _room(dry: Samples, amount: float) -> Samples:
    """Add a small room's echo (60 ms decay); ``amount`` is its share of the sound."""
    count = int(0.35 * RATE_HZ)
    echo = np.random.default_rng(3).standard_normal(count)
    echo *= np.exp(-np.arange(count) / RATE_HZ / 0.06)
    echo[: int(0.004 * RATE_HZ)] = 0
    echo /= np.sqrt(np.sum(echo**2))
    return dry + amount * np.asarray(fftconvolve(dry, echo)[: len(dry)], np.float64)


def _place(parts: Sequence[tuple[float, Samples]]) -> Samples:
    """Lay sounds at their times (s) on one track."""
    track = np.zeros(round(SECONDS * RATE_HZ))
    for start, sound in parts:
        first = round(start * RATE_HZ)
        piece = sound[: max(0, len(track) - first)]
        track[first : first + len(piece)] += piece
    return track


def soundtrack(seconds: float = SECONDS) -> NDArray[np.float32]:
    """Mono sound of the scene at 32 kHz, float32 ``[n]``."""
    parts = _parts()
    cat = _place(parts["cat"])
    person = _room(_place(parts["person"]), 0.24)
    track = PEAK * (cat / np.abs(cat).max() + 0.9 * person / np.abs(person).max())
    track += NOISE * np.random.default_rng(0).standard_normal(len(track))
    return np.asarray(track[: round(seconds * RATE_HZ)], np.float32)


def turns() -> list[Turn]:
    """The sounding object when: pauses within a turn shorter than half a second are left out."""
    found: list[Turn] = []
    for who, sounds in _parts().items():
        for start, sound in sounds:
            end = start + len(sound) / RATE_HZ
            if found and found[-1].who == who and start - found[-1].end < 0.5:
                found[-1] = Turn(who, found[-1].start, end)
            else:
                found.append(Turn(who, start, end))
    return sorted(found, key=lambda turn: turn.start)


def _view(
    photograph: Bytes, centre: tuple[float, float], height_px: float, width: int
) -> Bytes:
    """A window of the photograph, ``height_px`` of its pixels tall, drawn ``width`` x HEIGHT."""
    zoom = HEIGHT / height_px
    matrix = np.array([
        [zoom, 0, width / 2 - zoom * centre[0]],
        [0, zoom, HEIGHT / 2 - zoom * centre[1]],
    ])
    return np.asarray(cv2.warpAffine(
        photograph, matrix, (width, HEIGHT), flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    ))


def images(seconds: float = SECONDS) -> Iterator[Bytes]:
    """Frames of the scene at 25 fps, uint8 ``[360, 640, 3]`` RGB: cat left, astronaut right.

    Each side drifts and zooms a little, as a hand-held camera does.
    """
    data = optional("skimage.data", "The demo scene")
    cat, astronaut = data.chelsea(), data.astronaut()
    half = (WIDTH - GAP_PX) // 2
    for index in range(round(seconds * FPS)):
        t = index / FPS
        frame = np.full((HEIGHT, WIDTH, 3), 22, np.uint8)
        frame[:, :half] = _view(
            cat,
            (232 + 9 * np.sin(0.61 * t), 150 + 4 * np.sin(0.83 * t + 1)),
            282 + 10 * np.sin(0.37 * t), half,
        )
        frame[:, WIDTH - half :] = _view(
            astronaut,
            (228 + 12 * np.sin(0.47 * t + 2), 208 + 8 * np.sin(0.71 * t)),
            398 + 16 * np.sin(0.31 * t + 1), half,
        )
        yield frame


def write_scene(path: Path, seconds: float = SECONDS) -> None:
    """Write the scene as an mp4 of ``seconds`` (at most 20)."""
    writer = VideoWriter(path, WIDTH, HEIGHT, FPS, RATE_HZ, 1, quality=16)
    try:
        # Both start at the same stamp; the writer only looks at differences.
        writer.sound(0, soundtrack(seconds), RATE_HZ)
        for index, frame in enumerate(images(seconds)):
            writer.frame(round(index * 1e9 / FPS), frame)
    finally:
        writer.close()
