"""What every form is shown, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avs_ros.benchmarks.subject import frames, seconds_of_sound

# Distinct frames and seconds; longer streams begin anew.
CYCLE = 16


@dataclass(frozen=True)
class Answer:
    """The newest frame's mask logits (light: one map per family) and its label's row."""

    logits: NDArray[np.float32]
    label: int


class Stimuli:
    """The frames and seconds of sound that every form is shown."""

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        """Make them once: square frames of ``size`` px with the network's pixel statistics."""
        self.frames = frames(size, mean, std, CYCLE)
        self.sounds = seconds_of_sound(CYCLE)
