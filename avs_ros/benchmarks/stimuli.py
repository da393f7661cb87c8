"""What every form is shown, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avs_ros.benchmarks.subject import Networks, Subject, frames, seconds_of_sound

# Distinct frames and seconds; longer streams begin anew.
CYCLE = 16


@dataclass(frozen=True)
class Answer:
    """The newest frame's mask logits (light: one map per family) and its label's row."""

    logits: NDArray[np.float32]
    label: int


class Stimuli:
    """The frames and seconds of sound that every form is shown."""

    def __init__(self, subject: Subject, networks: Networks) -> None:
        """Make them once."""
        self.frames = frames(subject, networks, CYCLE)
        self.sounds = seconds_of_sound(CYCLE)
