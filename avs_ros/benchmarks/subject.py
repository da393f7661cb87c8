"""What is measured: a network with its weights, and the clips it is shown.

A subject is a few plain values, so that each process builds the very same one for itself.  No
PyTorch in here: an engine's process that needs none must not be charged for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ModelError
from avs_ros.inference.bundle import Bundle, ModelRunners, identity_of, open_runners
from avs_ros.inference.engines import choose_device
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.scene import FPS, RATE_HZ, images, soundtrack
from avs_ros.segmentation import Bytes
from avs_ros.sound import SAMPLE_RATE

LIGHT = "c3n_light"
AVSC = "avsc_light"
# The names that the networks' own tables know (a test compares them).
VISUALS = (*(f"pvt_v2_b{i}" for i in range(6)), "swin_base_patch4_window7_224", "mobilenetv2_100")
AUDIOS = ("beats", "panns", "vggish", "efficientat_mn04")
_COARSE = 16


@dataclass(frozen=True)
class Subject:
    """``visual`` "c3n_light" or "avsc_light": the bundled models.  Else a C3N on that backbone,
    random weights.

    ``audio``: name of the audio network (the bundled models bring their own).
    ``frames_per_clip``: T (the bundled models take each frame by itself).  ``image_size``: side
    at which C3N sees the square frames, px; 224 stands for the sizes that a bundled model is made
    for.  ``channels``: width of the fusion part (of a bundled model it is what it is).
    """

    visual: str = LIGHT
    audio: str = "panns"
    frames_per_clip: int = 5
    image_size: int = 224
    channels: int = 256

    def __post_init__(self) -> None:
        """Raise :class:`ModelError` for names and sizes that cannot be."""
        known = (LIGHT, AVSC, *VISUALS)
        if self.visual not in known:
            raise ModelError(
                f"unknown visual backbone {self.visual!r}; known: {', '.join(known)}"
            )
        if self.audio not in AUDIOS:
            raise ModelError(
                f"unknown audio network {self.audio!r}; known: {', '.join(AUDIOS)}"
            )
        if self.frames_per_clip < 1 or self.image_size < 32 or self.image_size % 32:
            raise ModelError(
                f"a clip of {self.frames_per_clip} frames of {self.image_size} px cannot be "
                "measured: at least one frame, sizes in multiples of 32"
            )

    @property
    def bundled(self) -> bool:
        """Whether it is a bundled model: no network of these keeps past frames, and there is no
        published form.
        """
        return self.avsc or self.visual == LIGHT

    @property
    def avsc(self) -> bool:
        """Whether it is the light AVSC."""
        return self.visual == AVSC

    @property
    def name(self) -> str:
        """In words, for tables."""
        return self.visual if self.bundled else f"C3N, {self.visual} and {self.audio}"


def runners(subject: Subject, engine: str, device: str) -> ModelRunners:
    """The subject's steps on ``engine``; the metadata hold what its segmenter must know.

    Raises EngineError for an engine or device that cannot serve.
    """
    source = Path(__file__).with_name("networks.py").read_bytes()
    files = (BUNDLED,) if subject.bundled else ()
    identity = identity_of("benchmark", sorted(asdict(subject).items()), source, files=files)
    name = f"benchmark_{subject.visual}"

    def make() -> Bundle:
        from avs_ros.benchmarks.networks import bundle

        return bundle(subject, name)

    return open_runners(name, identity, make, engine, device)


def segmenter(subject: Subject, engine: str, device: str) -> Segmenter:
    """The subject as the node would run it."""
    from avs_ros.inference import create_segmenter
    from avs_ros.inference.c3n import C3NSegmenter

    if subject.bundled:
        return create_segmenter(subject.visual, engine, device)
    return C3NSegmenter(
        f"benchmark_{subject.visual}", runners(subject, engine, choose_device(device))
    )


# Distinct frames and seconds that every form is shown; longer streams begin anew.
CYCLE = 16
SECOND_NS = 1_000_000_000


def frames(
    size: int, mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """Frames ``[CYCLE, 3, S, S]``, normalised by ``mean`` and ``std``: fixed shapes and noise."""
    random = np.random.RandomState(7)
    side = size // _COARSE
    pixels = random.rand(CYCLE, 3, side, side).repeat(_COARSE, 2).repeat(_COARSE, 3)
    pixels = np.clip(pixels + 0.05 * random.standard_normal(pixels.shape), 0, 1)
    centre, spread = (np.asarray(x).reshape(3, 1, 1) for x in (mean, std))
    return np.asarray((pixels - centre) / spread, np.float32)


def seconds_of_sound(heard: int = 1) -> NDArray[np.float32]:
    """Windows ``[CYCLE, heard * 16000]`` at 16 kHz: a tone that differs from second to second, and
    noise; each ends with a second of its own.
    """
    random = np.random.RandomState(8)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = np.sin(2 * np.pi * (220.0 + 60.0 * np.arange(CYCLE))[:, None] * time)
    sounds = (0.2 * tones + 0.05 * random.standard_normal(tones.shape)).astype(np.float32)
    return np.concatenate([np.roll(sounds, ago, axis=0) for ago in reversed(range(heard))], axis=1)


@dataclass(frozen=True)
class StepOutput:
    """The newest frame's mask logits and its label's row; of a bundled model what its masks are
    made of (features at stride 8) and the class of its likeliest instance.
    """

    logits: NDArray[np.float32]
    label: int


WIDTH, HEIGHT = 640, 480
# The cat meows here: something is marked, so that post-processing has work to do.
_START_S, _SECONDS = 1.0, 3.0


class SceneStream:
    """The same three seconds over and over."""

    def __init__(self) -> None:
        """Draw frames of ``WIDTH`` x ``HEIGHT`` and cut the sound."""
        count = round((_START_S + _SECONDS) * FPS)
        drawn = islice(images(_START_S + _SECONDS), round(_START_S * FPS), count, 5)
        self._frames = [np.asarray(cv2.resize(f, (WIDTH, HEIGHT)), np.uint8) for f in drawn]
        sound = soundtrack(_START_S + _SECONDS)[round(_START_S * RATE_HZ) :]
        self._sound = sound.reshape(-1, RATE_HZ // SAMPLE_RATE).mean(axis=1).astype(np.float32)

    def frame(self, number: int) -> Bytes:
        """uint8 RGB ``[H, W, 3]``."""
        return self._frames[number % len(self._frames)]

    def sound(self, start: int, count: int) -> NDArray[np.float32]:
        """``count`` samples from sample ``start`` on, float32 mono."""
        places = (start + np.arange(count)) % len(self._sound)
        return np.asarray(self._sound[places], np.float32)
