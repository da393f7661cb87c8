"""What is measured: a network with its weights, and the clips it is shown.

A subject is a few plain values, so that each process builds the very same one for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avs_ros.errors import ModelError
from avs_ros.inference.c3n import C3NSegmenter, c3n_program
from avs_ros.inference.engines import StepProgram
from avs_ros.inference.light import BUNDLED, light_program
from avs_ros.inference.segmenter import Segmenter
from avs_ros.models import audio as audio_networks
from avs_ros.models.audio.network import SAMPLE_RATE, AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import BACKBONES
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import imagenet
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.step import LightStep

LIGHT = "c3n_light"
_COARSE = 16


@dataclass(frozen=True)
class Subject:
    """``visual`` "c3n_light": the bundled model.  Else a C3N on that backbone, random weights.

    ``audio``: name of the audio network (the bundled model brings its own).
    ``frames_per_clip``: T.  ``image_size``: side of the square frames (px).  ``channels``: width
    of the fusion part (of the bundled model it is what it is).
    """

    visual: str = LIGHT
    audio: str = "panns"
    frames_per_clip: int = 5
    image_size: int = 224
    channels: int = 256

    def __post_init__(self) -> None:
        """Raise :class:`ModelError` for names and sizes that cannot be."""
        if not self.light and self.visual not in BACKBONES:
            raise ModelError(
                f"unknown visual backbone {self.visual!r}; known: {LIGHT}, {', '.join(BACKBONES)}"
            )
        if self.audio not in audio_networks.names():
            raise ModelError(
                f"unknown audio network {self.audio!r}; known: {', '.join(audio_networks.names())}"
            )
        if self.frames_per_clip < 1 or self.image_size < 32 or self.image_size % 32:
            raise ModelError(
                f"a clip of {self.frames_per_clip} frames of {self.image_size} px cannot be "
                "measured: at least one frame, sizes in multiples of 32"
            )

    @property
    def light(self) -> bool:
        """Whether it is the bundled model."""
        return self.visual == LIGHT

    @property
    def name(self) -> str:
        """In words, for tables."""
        return self.visual if self.light else f"C3N, {self.visual} and {self.audio}"

    def values(self) -> dict[str, Any]:
        """Plain values; ``Subject(**values)`` is the same subject."""
        return asdict(self)

    def with_(self, **changes: Any) -> Subject:
        """A copy with other values."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Networks:
    """``network``: a :class:`LightC3N` or a :class:`C3N`; ``hearing``: its audio network."""

    network: nn.Module
    hearing: AudioNetwork
    mean: Sequence[float]
    std: Sequence[float]


def build(subject: Subject) -> Networks:
    """The subject's networks, on the CPU in evaluation mode; the same at each call.

    Random weights are drawn at a scale at which each part of the network matters.  Raises
    ModelError for an unknown name.
    """
    if subject.light:
        model = load_light(BUNDLED)
        network: nn.Module = model.network
        hearing: AudioNetwork = model.network.hearing
        # A fully convolutional network; the size is only what its users keep to.
        model.network.c3n.image_size = subject.image_size
        backbone = model.network.c3n.backbone
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            hearing = audio_networks.build(subject.audio)
            network = C3N(
                subject.visual,
                hearing.feature_width,
                load_similarity(),
                channels=subject.channels,
                image_size=subject.image_size,
            )
        _enliven(network)
        backbone = network.backbone
    network.eval().requires_grad_(False)
    hearing.eval().requires_grad_(False)
    return Networks(network, hearing, backbone.image_mean, backbone.image_std)


def step_program(subject: Subject, networks: Networks) -> StepProgram:
    """The streaming step for any engine; its cached files carry "benchmark" in their names."""
    name = f"benchmark_{subject.visual}"
    if isinstance(networks.network, LightC3N):
        step = LightStep(networks.network, subject.frames_per_clip)
        return light_program(step, name, networks.network.members.shape[0])
    if not isinstance(networks.network, C3N):
        raise ModelError(f"{type(networks.network).__name__} has no streaming step")
    return c3n_program(networks.network, name, subject.frames_per_clip)


def segmenter(subject: Subject, engine: str, device: str) -> Segmenter:
    """The subject as the node would run it."""
    if subject.light:
        from avs_ros.inference import create_segmenter

        return create_segmenter(LIGHT, engine, device)
    networks = build(subject)
    if not isinstance(networks.network, C3N):
        raise ModelError(f"{subject.name} is no C3N")
    return C3NSegmenter(
        networks.network,
        networks.hearing,
        imagenet().short_names,
        name=f"benchmark_{subject.visual}",
        engine=engine,
        device=device,
        frames_per_clip=subject.frames_per_clip,
    )


def frames(subject: Subject, networks: Networks, count: int) -> NDArray[np.float32]:
    """Normalised frames ``[count, 3, S, S]``: coarse shapes and noise, fixed."""
    random = np.random.RandomState(7)
    side = subject.image_size // _COARSE
    pixels = random.rand(count, 3, side, side).repeat(_COARSE, 2).repeat(_COARSE, 3)
    pixels = np.clip(pixels + 0.05 * random.standard_normal(pixels.shape), 0, 1)
    mean = np.asarray(networks.mean).reshape(3, 1, 1)
    std = np.asarray(networks.std).reshape(3, 1, 1)
    return ((pixels - mean) / std).astype(np.float32)


def seconds_of_sound(count: int) -> NDArray[np.float32]:
    """Windows ``[count, 16000]`` at 16 kHz: a tone that differs from second to second, noise."""
    random = np.random.RandomState(8)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = np.sin(2 * np.pi * (220.0 + 60.0 * np.arange(count))[:, None] * time)
    return (0.2 * tones + 0.05 * random.standard_normal(tones.shape)).astype(np.float32)


def _enliven(network: C3N) -> None:
    """A fresh C3N's TPAVI is the identity and its scores are tiny: no test of equality."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                fan_in = float(np.prod(parameter.shape[1:]))
                parameter.normal_(0.0, fan_in**-0.5, generator=generator)
        for block in network.tpavi:
            block.project_norm.weight.normal_(1.0, 0.1, generator=generator)  # type: ignore[operator,union-attr]
