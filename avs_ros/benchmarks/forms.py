"""The forms that are held against each other: the published one, and a stream on an engine.

Both take the number of the newest frame and give that frame's mask, sound included.  What lies
before (decoding, resizing) and after (post-processing) is the same for both and left out.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from avs_ros.benchmarks.published_form import AuthorsForm
from avs_ros.benchmarks.stimuli import CYCLE, Answer, Stimuli
from avs_ros.benchmarks.subject import Subject, build, step_program
from avs_ros.inference.engines import build_runner
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.c3n.streaming import StreamMemory
from avs_ros.models.light.network import LightC3N

AUTHORS = "authors"
AUTHORS_HALF = "authors-fp16"
SECOND_NS = 1_000_000_000


class Form(Protocol):
    """``device``: where it runs, in words."""

    device: str

    def step(self, number: int, stamp_ns: int | None = None) -> Answer:
        """Serve frame ``number`` (0, 1, 2, …), one second after the last unless stamped."""
        ...


class StreamForm:
    """Each frame and each second once, on an engine; the past as a few numbers per frame."""

    def __init__(self, subject: Subject, engine: str, device: str = "cpu") -> None:
        """Build the step on ``engine``, which checks itself; raises EngineError where it fails."""
        networks = build(subject)
        self._stimuli = Stimuli(subject, networks)
        program = step_program(subject, networks)
        self._names = list(program.inputs)
        self._outputs = list(program.outputs)
        self._runner = build_runner(program, engine, device)
        self.device = self._runner.device
        self._torch_device = device
        self._affinity = None
        if isinstance(networks.network, LightC3N):
            self._affinity = networks.network.affinity
        self._hearing = networks.hearing.to(device)
        width = program.inputs["past"][-1]
        self.memory = StreamMemory((STAGES, int(width)), subject.frames_per_clip)

    def step(self, number: int, stamp_ns: int | None = None) -> Answer:
        """See :class:`Form`."""
        stamp_ns = (number + 1) * SECOND_NS if stamp_ns is None else stamp_ns
        at = slice(number % CYCLE, number % CYCLE + 1)
        given: dict[str, NDArray[np.float32]] = {"frame": self._stimuli.frames[at]}
        with torch.no_grad():
            sound = torch.from_numpy(self._stimuli.sounds[at]).to(self._torch_device)
            feature, scores = self._hearing(sound)
            given["audio_feature"] = feature.cpu().numpy()
            given["audio_logits"] = scores.cpu().numpy()
            if self._affinity is not None:
                voices = self._affinity(scores.cpu())
                given["heard"] = self._affinity.by_family(voices).numpy()
        given["past"], given["shares"] = self.memory.recall(stamp_ns)
        found = self._runner(*(given[name] for name in self._names))
        results = dict(zip(self._outputs, found, strict=True))
        self.memory.remember(stamp_ns, np.asarray(results["state"], np.float32))
        logits = np.array(results[self._outputs[0]][0], np.float32)
        return Answer(logits, int(results["label"].reshape(-1)[0]))


def make_form(name: str, subject: Subject, device: str) -> Form:
    """"authors", "authors-fp16" or an engine's name -> the form; EngineError if it cannot be."""
    if name in (AUTHORS, AUTHORS_HALF):
        return AuthorsForm(subject, device, half=name == AUTHORS_HALF)
    return StreamForm(subject, name, device)


def difference(found: Answer, expected: Answer) -> float:
    """Largest difference of the logits as a share of the expected ones' standard deviation."""
    if found.logits.shape != expected.logits.shape or not np.isfinite(found.logits).all():
        return float("inf")
    gap = np.abs(found.logits.astype(np.float64) - expected.logits).max()
    return float(gap / max(float(expected.logits.std()), 1e-12))
