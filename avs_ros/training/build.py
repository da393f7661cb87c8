"""From a training configuration to the network, the audio net, and the file that is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from avs_ros.models import audio
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.checkpoints import load_backbone, load_network, save_c3n
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.labels import imagenet
from avs_ros.training.config import TrainConfig


def audio_net(config: TrainConfig) -> AudioNetwork:
    """The frozen audio net, with its public weights when ``audio_weights`` names a file.

    Without a file its weights are random, but the same for the same seed.
    """
    torch.manual_seed(config.seed)
    net = audio.build(config.audio, checkpoint=config.audio_weights or None)
    net.requires_grad_(False)
    return net.eval()


def training_network(config: TrainConfig, audio_width: int) -> C3N:
    """A C3N ready to learn.

    ``visual_weights`` fills the backbone (ImageNet file), ``init_from`` the whole network (for
    example the best one of a run on S4); both raise CheckpointError when they do not fit.
    """
    torch.manual_seed(config.seed)
    network = C3N(
        config.visual,
        audio_width,
        load_similarity(config.similarity or None),
        channels=config.channels,
        image_size=config.image_size,
    )
    if config.visual_weights:
        load_backbone(network.backbone, config.visual_weights)
    if config.init_from:
        load_network(network, config.init_from)
    return network


def save_network(config: TrainConfig) -> Callable[[C3N, Path, dict[str, float]], None]:
    """Writer of ``best.safetensors``: weights, labels, and how they came about."""

    def save(network: C3N, path: Path, values: dict[str, float]) -> None:
        about = {"training": dataclasses.asdict(config), "scores": values}
        save_c3n(path, network, config.audio, imagenet().names, about)

    return save
