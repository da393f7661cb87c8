"""Two pictures of a cat side by side, of which one moves; and the second in which it meows."""

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
def meow() -> Any:
    """A second at 16 kHz."""
    soxr = pytest.importorskip("soxr")
    from avs_ros.media import scene

    track = soxr.resample(scene.soundtrack(4.0), scene.RATE_HZ, RATE).astype(np.float32)
    return track[2 * RATE : 3 * RATE]
