"""Images and sounds in which a cat meows: of two one moves; a person speaks beside it."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

RATE = 16000
SHAKE, SIDE, GAP, GREY = 8, 200, 50, 120


@cache
def _cat() -> Any:
    data = pytest.importorskip("skimage.data")
    return cv2.resize(data.chelsea()[20:280, 100:360], (SIDE, SIDE))


def two_cats(number: int) -> Any:
    """Frame ``number``, RGB, two pictures of a cat: the one on the right shakes."""
    frame = np.full((SIDE + 2 * GAP, 2 * SIDE + 3 * GAP, 3), GREY, np.uint8)
    for left, top in ((GAP, GAP), (SIDE + 2 * GAP, GAP + SHAKE * (number % 2))):
        frame[top : top + SIDE, left : left + SIDE] = _cat()
    return frame


@cache
def _demo() -> Any:
    """The demo's sound at 16 kHz."""
    soxr = pytest.importorskip("soxr")
    pytest.importorskip("skimage.data")
    from avs_ros.media import scene

    return soxr.resample(scene.soundtrack(), scene.RATE_HZ, RATE).astype(np.float32)


def meow() -> Any:
    """A second at 16 kHz."""
    return _demo()[2 * RATE : 3 * RATE]


@cache
def scene_end() -> tuple[Any, Any]:
    """The end of the demo's scene, one image and 16 kHz: both sound at once, then nobody does."""
    sound = _demo()[round(14.4 * RATE) : round(17.8 * RATE)]
    from avs_ros.media import scene

    return cv2.resize(next(iter(scene.images(1.0))), (320, 180)), sound
