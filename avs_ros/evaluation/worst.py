"""The worst answers, kept as images with a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.media.film import jpeg
from avs_ros.segmentation import Bytes

HEIGHT, WIDEST = 150, 900
MARKED, TRUE = (255, 120, 30), (40, 200, 120)


@dataclass
class WorstFrame:
    """A JPEG of image, answer and truth side by side, with a few words; ``badness``: how wrong."""

    jpeg: bytes
    description: str
    badness: float = 0.0


class WorstFrames:
    """Looks at every answer once and keeps the images of few: ``frames``, the worst first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.frames: list[WorstFrame] = []

    def keep(
        self, badness: float, description: str, rgb: Bytes, marked: NDArray[Any],
        true: NDArray[Any],
    ) -> None:
        """``rgb`` uint8 ``[H, W, 3]``; ``marked`` and ``true`` ``[H, W]``, above 0 = sounding."""
        if len(self.frames) == self._most and badness <= self.frames[-1].badness:
            return
        image = jpeg(_triptych(rgb, marked, true), WIDEST)
        self.frames.append(WorstFrame(image, description, badness))
        self.frames.sort(key=lambda kept: -kept.badness)
        del self.frames[self._most :]


def _triptych(rgb: Bytes, marked: NDArray[Any], true: NDArray[Any]) -> Bytes:
    """Image, image with the answer, image with the truth, side by side."""
    size = (max(1, round(HEIGHT * rgb.shape[1] / rgb.shape[0])), HEIGHT)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    panels = [small]
    for mask, colour in ((marked, MARKED), (true, TRUE)):
        found = (mask > 0).astype(np.uint8)
        on = cv2.resize(found, size, interpolation=cv2.INTER_NEAREST) > 0
        panel = small.copy()
        panel[on] = (0.5 * panel[on] + 0.5 * np.array(colour)).astype(np.uint8)
        panels.append(panel)
    return np.asarray(np.hstack(panels), np.uint8)
