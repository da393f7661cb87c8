"""A camera and a microphone for measuring: the demo's scene, as VGA frames and 16 kHz sound."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.media.scene import FPS, pictures, soundtrack
from avs_ros.media.scene_sounds import RATE_HZ
from avs_ros.segmentation import Bytes
from avs_ros.sound import SAMPLE_RATE

WIDTH, HEIGHT = 640, 480
# The cat meows here: something is marked, so that post-processing has work to do.
_START_S, _SECONDS = 1.0, 3.0


class SceneStream:
    """The same three seconds over and over."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Draw frames of ``width`` x ``height`` and cut the sound."""
        count = round((_START_S + _SECONDS) * FPS)
        drawn = islice(pictures(_START_S + _SECONDS), round(_START_S * FPS), count, 5)
        self._frames = [np.asarray(cv2.resize(f, (width, height)), np.uint8) for f in drawn]
        sound = soundtrack(_START_S + _SECONDS)[round(_START_S * RATE_HZ) :]
        self._sound = sound.reshape(-1, RATE_HZ // SAMPLE_RATE).mean(axis=1).astype(np.float32)

    def frame(self, number: int) -> Bytes:
        """uint8 RGB ``[H, W, 3]``."""
        return self._frames[number % len(self._frames)]

    def sound(self, start: int, count: int) -> NDArray[np.float32]:
        """``count`` samples from sample ``start`` on, float32 mono."""
        places = (start + np.arange(count)) % len(self._sound)
        return self._sound[places]
