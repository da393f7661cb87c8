"""A subject's networks, built in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from avs_ros.inference.bundle import Bundle
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.model_steps import c3n_bundle, detecting_bundle, instance_bundle
from avs_ros.models import audio as audio_networks
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import imagenet

if TYPE_CHECKING:
    from avs_ros.benchmarks.subject import Subject


# Side of the frames at which the bundled models are as their file says.
USUAL = 224


@dataclass(frozen=True)
class Networks:
    """``network`` and its audio network, ``audio_encoder``."""

    network: C3N
    audio_encoder: AudioNetwork


def build(subject: Subject) -> Networks:
    """The networks of a subject that is no bundled model, on the CPU in evaluation mode; the same
    at each call.

    Random weights are drawn at a scale at which each part of the network matters.  Raises
    ModelError for an unknown name.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        audio_encoder = audio_networks.build(subject.audio)
        network = C3N(
            subject.visual, audio_encoder.feature_width, load_similarity(),
            channels=subject.channels, image_size=subject.image_size,
        )  # fmt: skip
    _enliven(network)
    for part in (network, audio_encoder):
        part.eval().requires_grad_(False)
    return Networks(network, audio_encoder)


def bundle(subject: Subject, name: str) -> Bundle:
    """The subject's two steps for any engine, and its metadata."""
    if subject.bundled:
        make = instance_bundle if subject.avsc else detecting_bundle
        return make(BUNDLED, name, subject.image_size / USUAL)
    networks = build(subject)
    labels = imagenet().short_names
    return c3n_bundle(
        networks.network, networks.audio_encoder, labels, name, subject.frames_per_clip
    )


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
