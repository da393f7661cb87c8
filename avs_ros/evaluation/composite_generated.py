"""The small set for a bare machine: two photographs, outlined by hand, and synthesised voices.

Pictures: ``chelsea`` (CC0) and ``astronaut`` (public domain, NASA) of scikit-image, in several
views.  Sounds: :mod:`avs_ros.media.scene_sounds`.  It shows that a model works, not how well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from avs_ros.errors import MissingDependencyError
from avs_ros.evaluation.composite_data import RATE, Library, Picture, Recording, View
from avs_ros.media.scene_sounds import RATE_HZ, meow, say
from avs_ros.segmentation import Bytes, Float

# Corners [x, y] in tenths of the photograph's width and height.
OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "cat": (
        (0.9, 0), (8.9, 0), (8.4, 1.0), (7.9, 2.4), (8.0, 4.2), (7.8, 6.2), (7.2, 8.0),
        (6.8, 9.2), (6.7, 10), (0.9, 10), (0, 9.0), (0, 4.6), (0.8, 3.6), (0.7, 1.8),
    ),
    "person": (
        (3.0, 1.3), (3.3, 0.6), (4.2, 0.3), (5.2, 0.5), (5.8, 1.2), (5.8, 2.2), (5.3, 2.8),
        (5.2, 3.4), (5.9, 4.2), (5.9, 4.7), (6.6, 5.2), (7.0, 6.2), (7.0, 6.9), (6.2, 7.4),
        (5.6, 8.4), (5.5, 10), (0.5, 10), (0.5, 7.6), (0.9, 5.3), (2.0, 4.4), (2.2, 3.4),
        (3.0, 2.9), (3.5, 2.4), (3.1, 1.9),
    ),
}  # fmt: skip
# Windows of a photograph: left, top, right, bottom in tenths, and whether it is mirrored.
VIEWS = (
    (0.0, 0.0, 10.0, 10.0, False),
    (0.0, 0.0, 10.0, 10.0, True),
    (0.0, 0.0, 9.0, 8.5, False),
    (1.0, 0.0, 10.0, 9.5, True),
)
PHRASES = (
    "h @ l o: . k ae: n j u h i: r m i",
    "a: i m o: v er h i: r . l u: k a t m i:",
    "n a u D @ k ae: t a g e: n",
)


def generated_library() -> Library:
    """Views of the cat and the astronaut, meows and sentences; the same each time."""
    pictures = [
        _picture(family, number)
        for family in OUTLINES
        for number in range(len(VIEWS))
    ]
    recordings = [
        Recording(f"meow {n}", "cat", partial(_sound, partial(meow, n, 1 + 0.04 * (n - 2))))
        for n in range(1, 4)
    ]
    recordings += [
        Recording(f"sentence {n}", "speech", partial(_sound, partial(say, phones, n)))
        for n, phones in enumerate(PHRASES, 1)
    ]
    return Library("generated: two photographs, synthesised voices", pictures, recordings)


def _sound(make: Callable[[], np.ndarray]) -> Float:
    import soxr

    return np.asarray(soxr.resample(make(), RATE_HZ, RATE), np.float32)


def _picture(family: str, number: int) -> Picture:
    mask = _window(_outlined(family, (400, 400)), number)
    share = float((mask > 0).mean())
    return Picture(f"{family} {number}", {family: share}, True, partial(_view, family, number))


def _view(family: str, number: int) -> View:
    photograph = _photograph(family)
    mask = _window(_outlined(family, photograph.shape[:2]), number) > 0
    return View(_window(photograph, number), {family: mask}, np.zeros(mask.shape, bool))


def _outlined(family: str, size: tuple[int, ...]) -> Bytes:
    height, width = size
    corners = np.array(OUTLINES[family]) * (width / 10, height / 10)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask


def _window(image: Bytes, number: int) -> Bytes:
    left, top, right, bottom, mirrored = VIEWS[number]
    height, width = image.shape[:2]
    rows = slice(round(top * height / 10), round(bottom * height / 10))
    part = image[rows, round(left * width / 10) : round(right * width / 10)]
    return np.ascontiguousarray(part[:, ::-1] if mirrored else part)


def _photograph(family: str) -> Bytes:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-image", "The generated set", "pip install 'avs_ros[demo]'"
        ) from error
    return np.asarray(data.chelsea() if family == "cat" else data.astronaut(), np.uint8)
