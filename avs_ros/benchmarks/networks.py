"""A subject's networks, built in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from avs_ros.inference.bundle import Bundle
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.model_steps import (
    audio_program,
    both_audio_networks,
    c3n_bundle,
    detecting_bundle,
    detecting_program,
    instance_bundle,
)
from avs_ros.models import audio as audio_networks
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import imagenet
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.detector import Detector
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.steps import DetectingStep

if TYPE_CHECKING:
    from avs_ros.benchmarks.subject import Subject


# Side of the frames at which the bundled models are as their file says.
USUAL = 224


@dataclass(frozen=True)
class Networks:
    """``network`` and its audio network, ``audio_encoder``.

    ``detector``: the light model's, on frames of ``whole_size`` px; ``members``: see
    :class:`DetectingStep`.
    """

    network: C3N | LightC3N
    audio_encoder: AudioNetwork
    detector: Detector | None = None
    whole_size: int = 0
    members: Sequence[Sequence[int]] = ()

    @property
    def trunk(self) -> C3N:
        """The C3N in it; its backbone says which pixels the frames must have."""
        return self.network if isinstance(self.network, C3N) else self.network.c3n


def build(subject: Subject) -> Networks:
    """The subject's networks, on the CPU in evaluation mode; the same at each call.

    Random weights are drawn at a scale at which each part of the network matters.  Raises
    ModelError for an unknown name.
    """
    if subject.light:
        model = load_light(BUNDLED)
        # A fully convolutional network; its sizes are only what its users keep to.
        trunk, told = model.network.c3n, model.metadata["detecting"]
        share = model.network.image_size / trunk.image_size
        trunk.image_size = subject.image_size
        model.network.image_size = _size(subject.image_size * share)
        found = Networks(
            model.network, both_audio_networks(model), model.detector,
            _size(told["whole_size"] * subject.image_size / USUAL), told["imagenet"],
        )  # fmt: skip
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            audio_encoder = audio_networks.build(subject.audio)
            network = C3N(
                subject.visual, audio_encoder.feature_width, load_similarity(),
                channels=subject.channels, image_size=subject.image_size,
            )  # fmt: skip
        _enliven(network)
        found = Networks(network, audio_encoder)
    for part in (found.network, found.audio_encoder):
        part.eval().requires_grad_(False)
    return found


def _size(pixels: float) -> int:
    """The nearest side that the networks take."""
    return max(32, round(pixels / 32) * 32)


def bundle(subject: Subject, name: str) -> Bundle:
    """The subject's two steps for any engine, and its metadata."""
    if subject.avsc:
        return instance_bundle(BUNDLED, name, subject.image_size / USUAL)
    networks = build(subject)
    network, length = networks.network, subject.frames_per_clip
    if isinstance(network, C3N):
        labels = imagenet().short_names
        return c3n_bundle(network, networks.audio_encoder, labels, name, length)
    assert networks.detector is not None  # a light model has one
    step = DetectingStep(
        network, networks.detector, networks.members, networks.whole_size, length
    )
    metadata = {
        **detecting_bundle(BUNDLED, name).metadata, "frames_per_clip": length,
        "image_size": network.image_size, "whole_size": networks.whole_size,
    }  # fmt: skip
    audio = audio_program(networks.audio_encoder, name)
    return Bundle(metadata, detecting_program(step, name), audio)


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
