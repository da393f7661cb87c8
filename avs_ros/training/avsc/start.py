"""Where AVSC starts: the light one from the light C3N, the full one from public weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from avs_ros.errors import CheckpointError
from avs_ros.models.avsc import AVSC, AVSCConfig, configuration, load_avsc, save_avsc
from avs_ros.models.avsc.config import light_queries
from avs_ros.models.light.checkpoint import LightModel
from avs_ros.training.avsc.settings import BenchSettings


def start_network(light: LightModel, image_size: int) -> AVSC:
    """The light AVSC with the backbone, hearing and affinity of a light C3N; the rest random."""
    rows, names = len(light.rows), light.metadata["names"]
    config = configuration("avsc_light", names["members"], rows).with_(
        categories=light.families,
        voices=light.voices,
        voice_category=tuple(names["voice_family"]),
        query_category=light_queries(light.families),
        image_size=image_size,
    )
    net = AVSC(config)
    try:
        net.backbone.load_state_dict(light.network.c3n.backbone.state_dict())
        net.hearing.load_state_dict(light.network.hearing.state_dict())
        net.audio_head.affinity.load_state_dict(light.network.affinity.state_dict())
    except RuntimeError as error:
        raise CheckpointError(f"this light C3N cannot start an AVSC: {error}") from error
    return net


def audio_parameters(net: AVSC) -> list[nn.Parameter]:
    """What the second step trains: the audio head; everything else is frozen."""
    net.requires_grad_(False)
    net.audio_head.requires_grad_(True)
    return list(net.audio_head.parameters())


def bench_network(settings: BenchSettings, categories: Callable[[], Sequence[str]]) -> AVSC:
    """The network for AVSBench: from ``init_from``, or built for ``categories``.

    ``visual_weights`` and ``audio_weights`` fill its parts.  The audio network is frozen.
    """
    torch.manual_seed(settings.seed)
    if settings.init_from:
        net = load_avsc(settings.init_from).network
    else:
        net = AVSC(bench_config(settings, categories()))
    if settings.visual_weights:
        net.load_visual(settings.visual_weights)
    if settings.audio_weights:
        net.load_audio(settings.audio_weights)
    net.hearing.requires_grad_(False)
    return net


def bench_config(settings: BenchSettings, categories: Sequence[str]) -> AVSCConfig:
    """The full configuration with these categories, networks and sizes."""
    base = configuration("avsc_swin" if settings.visual.startswith("swin") else "avsc_pvt")
    names = tuple(categories)
    return base.with_(
        categories=names,
        voices=names,
        voice_category=tuple(range(len(names))),
        visual=settings.visual,
        audio=settings.audio,
        image_size=settings.image_size,
        channels=settings.channels,
        query_category=(-1,) * settings.queries,
    )


def save_bench(path: Path, net: AVSC, settings: BenchSettings, scores: dict[str, float]) -> None:
    """``best.safetensors``: weights and how they came about."""
    about = {"training": dataclasses.asdict(settings), "scores": scores}
    save_avsc(path, net, {"provenance": about, "calibration": {"score": 0.5}})
