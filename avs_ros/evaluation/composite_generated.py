"""The small set for a bare machine: two photographs, outlined by hand, and synthesised voices.

Images: ``chelsea`` (CC0) and ``astronaut`` (public domain, NASA) of scikit-image, in several
views.  Sounds: those of the demo's scene.  It shows that a model works, not how well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.errors import optional
from avs_ros.evaluation.boxes import box_of
from avs_ros.evaluation.composite_data import CompositeDataset, LabelledImage, LabelledSound, View
from avs_ros.media.scene import RATE_HZ, voices
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE

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
PHOTOGRAPHS = {"cat": "chelsea", "person": "astronaut"}
# Windows of a photograph: left, top, right, bottom in tenths, and whether it is mirrored.
VIEWS = (
    (0.0, 0.0, 10.0, 10.0, False),
    (0.0, 0.0, 10.0, 10.0, True),
    (0.0, 0.0, 9.0, 8.5, False),
    (1.0, 0.0, 10.0, 9.5, True),
)


def generated_dataset(hard: bool = False) -> CompositeDataset:
    """Views of the cat and the astronaut, meows and sentences; the same each time.

    ``hard``: the same photographs dark, grey and noisy, and small on another photograph.
    """
    views: dict[str, Callable[[], View]] = {
        f"{category}, {how}": partial(view, category)
        for category in OUTLINES for how, view in HARD.items()
    } if hard else {
        f"{category} {number}": partial(_view, category, number)
        for category in OUTLINES for number in range(len(VIEWS))
    }  # fmt: skip
    images = [
        LabelledImage(name, {c: float(m.mean()) for c, m in view().masks.items()}, True, view)
        for name, view in views.items()
    ]
    recordings = [
        LabelledSound(f"{what} {n}", label, partial(_sound, f"{what} {n}"))
        for what, label in (("meow", "cat"), ("sentence", "speech")) for n in range(1, 4)
    ]
    return CompositeDataset("generated: two photographs, synthesised voices", images, recordings)


def _sound(name: str) -> Float:
    return np.asarray(soxr.resample(voices()[name], RATE_HZ, SAMPLE_RATE), np.float32)


def _view(category: str, number: int) -> View:
    photograph = _photograph(category)
    mask = _outlined(category, photograph.shape[:2]) > 0
    height, width = mask.shape
    left, top, right, bottom, mirrored = VIEWS[number]
    rows = slice(round(top * height / 10), round(bottom * height / 10))
    columns = slice(round(left * width / 10), round(right * width / 10))
    view = View(photograph, {category: mask}, np.zeros(mask.shape, bool)).part((rows, columns))
    return view.part(np.s_[:, ::-1]) if mirrored else view


def _outlined(category: str, size: tuple[int, ...]) -> Bytes:
    height, width = size
    corners = np.array(OUTLINES[category]) * (width / 10, height / 10)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask


def _dark(category: str) -> View:
    view = _view(category, 0)
    return replace(view, rgb=np.asarray(view.rgb * 0.15, np.uint8))


def _noisy(category: str) -> View:
    view = _view(category, 0)
    grey = cv2.cvtColor(view.rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 40, grey.shape)
    return replace(view, rgb=np.clip(grey + noise, 0, 255).astype(np.uint8).repeat(3, axis=2))


def _small(category: str) -> View:
    """The thing alone, a quarter as wide, on another photograph."""
    background, thing = _photograph("rocket"), _photograph(category)
    height, width = background.shape[:2]
    side = height // 3
    mask = np.zeros((height, width), bool)
    top, left = height // 2, width // 4
    mask[top : top + side, left : left + side] = _outlined(category, (side, side)) > 0
    at = _around(mask)
    thing = thing[_around(_outlined(category, thing.shape[:2]))]
    size = mask[at].shape[::-1]
    small = cv2.resize(thing, size, interpolation=cv2.INTER_AREA)
    background[at] = np.where(mask[at][..., None], small, background[at])
    return View(background, {category: mask}, np.zeros(mask.shape, bool))


def _around(mask: NDArray[Any]) -> tuple[slice, slice]:
    """Rows and columns of what is in the mask."""
    left, top, right, bottom = (int(edge) for edge in box_of(mask) or (0, 0, 0, 0))
    return slice(top, bottom), slice(left, right)


HARD: dict[str, Callable[[str], View]] = {
    "dark": _dark, "grey and noisy": _noisy, "small": _small,
}  # fmt: skip


def _photograph(name: str) -> Bytes:
    data = optional("skimage.data", "The generated set")
    return np.array(getattr(data, PHOTOGRAPHS.get(name, name))(), np.uint8)
