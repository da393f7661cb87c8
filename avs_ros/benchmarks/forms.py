"""The forms that are held against each other: the published one, and a stream on an engine.

Both take the number of the newest frame and give that frame's mask, sound included.  What lies
before (decoding, resizing) and after (post-processing) is the same for both and left out.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avs_ros.benchmarks.subject import (
    Networks,
    Subject,
    build,
    frames,
    seconds_of_sound,
    step_program,
)
from avs_ros.errors import EngineError
from avs_ros.inference.engines import build_runner
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.c3n.network import C3N
from avs_ros.models.c3n.streaming import StreamMemory
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import raise_to_visible

AUTHORS = "authors"
AUTHORS_HALF = "authors-fp16"
# Distinct frames and seconds; longer streams begin anew.
CYCLE = 16
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Answer:
    """The newest frame's mask logits (light: one map per family) and its label's row."""

    logits: NDArray[np.float32]
    label: int


class Form(Protocol):
    """``device``: where it runs, in words."""

    device: str

    def step(self, number: int, stamp_ns: int | None = None) -> Answer:
        """Serve frame ``number`` (0, 1, 2, …), one second after the last unless stamped."""
        ...


class Stimuli:
    """The frames and seconds of sound that every form is shown."""

    def __init__(self, subject: Subject, networks: Networks) -> None:
        """Make them once."""
        self.frames = frames(subject, networks, CYCLE)
        self.sounds = seconds_of_sound(CYCLE)


class AuthorsForm:
    """The published code's way with a live stream: the whole clip again for each new frame.

    All T frames go through the network, TPAVI builds the affinity of all pixels with all pixels,
    and the audio network runs twice on all T seconds (once for the feature, once for the
    classes).  ``half``: under float16 autocast, on a GPU.
    """

    def __init__(self, subject: Subject, device: str = "cpu", half: bool = False) -> None:
        """Build the networks on ``device``."""
        networks = build(subject)
        self.device = device
        self._clip = subject.frames_per_clip
        self._half = half
        self._stimuli = Stimuli(subject, networks)
        self._network = networks.network.to(device)
        self._hearing = networks.hearing.to(device)
        trunk = self._network.c3n if isinstance(self._network, LightC3N) else self._network
        for block in trunk.tpavi:  # type: ignore[union-attr]
            block.full_affinity = True
        if isinstance(self._network, LightC3N):
            self._network.c3n.tpavi = nn.ModuleList(
                _OverClip(block, self._clip) for block in self._network.c3n.tpavi
            )

    def step(self, number: int, stamp_ns: int | None = None) -> Answer:
        """See :class:`Form`; the clip is the last T frames, or those there are (light: T)."""
        first = max(0, number - self._clip + 1)
        clip = [index % CYCLE for index in range(first, number + 1)]
        frames = torch.from_numpy(self._stimuli.frames[clip]).to(self.device)
        sounds = torch.from_numpy(self._stimuli.sounds[clip]).to(self.device)
        autocast = (
            torch.autocast("cuda", torch.float16) if self._half else contextlib.nullcontext()
        )
        with torch.no_grad(), autocast, torch.backends.cudnn.flags(
            enabled=True, allow_tf32=self._half
        ):
            feature, _ = self._hearing(sounds)
            _, scores = self._hearing(sounds)
            logits, label = self._see(frames, feature, scores, len(clip))
        return Answer(logits.float().cpu().numpy(), int(label))

    def _see(
        self, frames: Tensor, feature: Tensor, scores: Tensor, length: int
    ) -> tuple[Tensor, Tensor]:
        network = self._network
        if isinstance(network, C3N):
            out = network.forward_detailed(frames, feature, scores, length)
            return out.logits[-1], out.labels[-1]
        if length != self._clip:
            raise EngineError(f"the light clip form needs {self._clip} frames, got {length}")
        light = network(frames, feature, scores)
        return raise_to_visible(light.masks)[-1], light.labels[-1]


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


class _OverClip(nn.Module):
    """TPAVI of the light model over a clip: by itself it takes each pair alone."""

    def __init__(self, block: nn.Module, length: int) -> None:
        super().__init__()
        self.block = block
        self.length = length

    def forward(self, x: Tensor, audio: Tensor, _: int) -> Tensor:
        out: Tensor = self.block(x, audio, self.length)
        return out


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
