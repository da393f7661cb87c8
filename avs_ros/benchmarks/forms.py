"""The forms that are held against each other: the published one, and a stream on an engine.

Both take the number of the newest frame and give that frame's mask, sound included.  What lies
before (decoding, resizing) and after (post-processing) is the same for both and left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from avs_ros.benchmarks.subject import (
    CYCLE,
    SECOND_NS,
    StepOutput,
    Subject,
    frames,
    runners,
    seconds_of_sound,
)
from avs_ros.models.stream_memory import StreamMemory

if TYPE_CHECKING:
    from avs_ros.benchmarks.published_form import AuthorsForm

AUTHORS = "authors"
AUTHORS_HALF = "authors-fp16"


class StreamForm:
    """Each frame and each second once, on an engine; the past as a few numbers per frame.

    ``device``: where it runs, in words.  ``state_bytes``: of the state that a frame leaves.
    """

    def __init__(self, subject: Subject, engine: str, device: str = "cpu") -> None:
        """Open the steps on ``engine``, which checks itself; EngineError where it fails."""
        running = runners(subject, engine, device)
        metadata = running.metadata
        pixels = metadata["image_mean"], metadata["image_std"]
        self._frames = frames(metadata["image_size"], *pixels)
        self._sounds = seconds_of_sound(metadata.get("heard_seconds", 1))
        self._see, self._hear = running.visual, running.audio
        self.device = self._see.device
        # A detector sees frames of another size.
        whole = metadata.get("whole_size")
        self._wholes = [] if whole is None else [frames(whole, *pixels)]
        self._bundled = subject.bundled
        state = (1,) if self._bundled else tuple(metadata["state"])
        self.memory = StreamMemory(state, 1 if self._bundled else metadata["frames_per_clip"])
        self.state_bytes = math.prod(state) * np.dtype(np.float32).itemsize

    def step(self, number: int, stamp_ns: int | None = None) -> StepOutput:
        """Serve frame ``number`` (0, 1, 2, …), one second after the last unless stamped."""
        stamp_ns = (number + 1) * SECOND_NS if stamp_ns is None else stamp_ns
        at = slice(number % CYCLE, number % CYCLE + 1)
        heard = [np.asarray(x, np.float32) for x in self._hear(self._sounds[at])]
        if self._bundled:
            seen = [kind[at] for kind in (self._frames, *self._wholes)]
            _, things, classes, _, features, *_ = self._see(*seen)
            category = np.asarray(classes)[0, np.asarray(things)[0].argmax()].argmax()
            return StepOutput(np.array(features[0], np.float32), int(category))
        past, shares = self.memory.recall(stamp_ns)
        logits, label, _, state = self._see(self._frames[at], *heard, past, shares)
        self.memory.remember(stamp_ns, np.asarray(state, np.float32))
        return StepOutput(np.array(logits[0], np.float32), int(label.reshape(-1)[0]))


def make_form(name: str, subject: Subject, device: str) -> AuthorsForm | StreamForm:
    """"authors", "authors-fp16" or an engine's name -> the form; EngineError if it cannot be."""
    if name in (AUTHORS, AUTHORS_HALF):
        from avs_ros.benchmarks.published_form import AuthorsForm

        return AuthorsForm(subject, device, half=name == AUTHORS_HALF)
    return StreamForm(subject, name, device)


def difference(found: StepOutput, expected: StepOutput) -> float:
    """Largest difference of the logits as a share of the expected ones' standard deviation."""
    if found.logits.shape != expected.logits.shape or not np.isfinite(found.logits).all():
        return float("inf")
    gap = np.abs(found.logits.astype(np.float64) - expected.logits).max()
    return float(gap / max(float(expected.logits.std()), 1e-12))
