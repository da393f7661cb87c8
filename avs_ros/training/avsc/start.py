"""Where AVSC on AVSBench starts, from public weights, and the file that is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from avs_ros.models.avsc import AVSC, AVSCConfig, configuration, load_avsc, save_avsc
from avs_ros.training.avsc.settings import BenchSettings


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
    net.audio_encoder.requires_grad_(False)
    return net


def bench_config(settings: BenchSettings, categories: Sequence[str]) -> AVSCConfig:
    """The full configuration with these categories, networks and sizes."""
    base = configuration("avsc_swin" if settings.visual.startswith("swin") else "avsc_pvt")
    names = tuple(categories)
    return base.with_(
        categories=names,
        sound_classes=names,
        sound_class_category=tuple(range(len(names))),
        visual=settings.visual,
        audio=settings.audio,
        image_size=settings.image_size,
        channels=settings.channels,
        queries=settings.queries,
    )


def save_bench(path: Path, net: AVSC, settings: BenchSettings, scores: dict[str, float]) -> None:
    """``best.safetensors``: weights and how they came about."""
    about = {"training": dataclasses.asdict(settings), "scores": scores}
    save_avsc(path, net, {"provenance": about, "calibration": {"score": 0.5}})
