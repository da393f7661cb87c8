"""What is shown to networks and nodes while they are measured, and what a step answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.benchmarks.subject import frames, seconds_of_sound
from avs_ros.media.scene import FPS, images, soundtrack
from avs_ros.media.scene_sounds import RATE_HZ
from avs_ros.segmentation import Bytes
from avs_ros.sound import SAMPLE_RATE

# Distinct frames and seconds; longer streams begin anew.
CYCLE = 16


@dataclass(frozen=True)
class StepOutput:
    """The newest frame's mask logits (light: one map per category) and its label's row."""

    logits: NDArray[np.float32]
    label: int


class Stimuli:
    """The frames and seconds of sound that every form is shown."""

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        """Make them once: square frames of ``size`` px with the network's pixel statistics."""
        self.frames = frames(size, mean, std, CYCLE)
        self.sounds = seconds_of_sound(CYCLE)


WIDTH, HEIGHT = 640, 480
# The cat meows here: something is marked, so that post-processing has work to do.
_START_S, _SECONDS = 1.0, 3.0


class SceneStream:
    """The same three seconds over and over."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        """Draw frames of ``width`` x ``height`` and cut the sound."""
        count = round((_START_S + _SECONDS) * FPS)
        drawn = islice(images(_START_S + _SECONDS), round(_START_S * FPS), count, 5)
        self._frames = [np.asarray(cv2.resize(f, (width, height)), np.uint8) for f in drawn]
        sound = soundtrack(_START_S + _SECONDS)[round(_START_S * RATE_HZ) :]
        self._sound = sound.reshape(-1, RATE_HZ // SAMPLE_RATE).mean(axis=1).astype(np.float32)

    def frame(self, number: int) -> Bytes:
        """uint8 RGB ``[H, W, 3]``."""
        return self._frames[number % len(self._frames)]

    def sound(self, start: int, count: int) -> NDArray[np.float32]:
        """``count`` samples from sample ``start`` on, float32 mono."""
        places = (start + np.arange(count)) % len(self._sound)
        return np.asarray(self._sound[places], np.float32)
