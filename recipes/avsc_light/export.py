"""The trained light network into the one file that is shipped."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from avs_ros.models.avsc import AVSC, save_avsc
from avs_ros.models.light.checkpoint import LightModel
from recipes.avsc_light.start import start_network
from recipes.c3n_light.export import LICENCE, PREPROCESSING, STARTED_FROM, TEACHERS

VISUAL = "mobilenet_v2_imagenet.safetensors"
AUDIO = "efficientat_mn04_audioset.safetensors"


def unmoved(net: AVSC, light: LightModel, data: Path) -> list[str]:
    """Stored tensors that equal one of the public starting points or are as they were made.

    There must be none: what is shipped was trained here.
    """
    start = start_network(light, net.config.image_size)
    start.load_visual(data / "weights" / VISUAL)
    start.load_audio(data / "weights" / AUDIO)
    public = start.state_dict()
    return [
        name
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
        and tensor.numel() > 1
        and not name.endswith(("running_mean", "running_var"))
        and not name.startswith("audio_head.affinity")
        and torch.equal(tensor.half(), public[name].half())
    ]


def export(
    target: Path,
    net: AVSC,
    data: Path,
    start: Path,
    calibration: dict[str, float],
    settings: dict[str, Any],
) -> None:
    """Write ``target``: weights, preprocessing, calibration, where it all came from, licence.

    ``start``: file of the light C3N it was started from.
    """
    weights = data / "weights"
    provenance = {
        "trained_by": "python -m recipes.avsc_light",
        "started_from": {
            start.name: {"what": "light C3N of this project", "sha256": _digest(start)},
            **{
                name: {"what": STARTED_FROM[name], "sha256": _digest(weights / name)}
                for name in (VISUAL, AUDIO)
            },
        },
        "teachers": {start.name: "soft masks of the categories", **TEACHERS},
        "settings": settings,
    }
    save_avsc(
        target,
        net,
        {
            "preprocessing": PREPROCESSING,
            "calibration": calibration,
            "provenance": provenance,
            "licence": LICENCE,
        },
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
