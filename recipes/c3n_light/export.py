"""The trained network into the one file that is shipped."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from avs_ros.models.labels import audioset
from avs_ros.models.light.checkpoint import save_light
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import (
    CATEGORY_NAMES,
    OVERLAPS,
    SOUND_CLASS_CATEGORY,
    SOUND_CLASS_NAMES,
    SOUND_CLASSES,
)
from recipes.c3n_light.baselines import VOC_FILE
from recipes.c3n_light.similarity import members, row_names

LICENCE = (
    "our own rights: Apache-2.0; non-commercial, research use follows from the terms of some of "
    "the training data (photos, sounds and people images; table in MODEL_CARD.md)"
)
STARTED_FROM = {
    "mobilenet_v2_imagenet.safetensors": "TensorFlow MobileNetV2 1.0 224, Apache-2.0",
    "efficientat_mn04_audioset.safetensors": "EfficientAT mn04_as, MIT",
}
TEACHERS = {
    VOC_FILE: "pseudo masks, Apache-2.0",
    "yamnet_audio_classifier_with_metadata.tflite": "soft sound labels, Apache-2.0",
}
PREPROCESSING = {
    "image": "RGB, resized to image_size x image_size without keeping the aspect, "
    "value / 127.5 - 1; TensorFlow SAME padding",
    "sound": "1 s mono at 16 kHz, float -1..1; doubled to 32 kHz and log-mel inside the network",
}


def untouched(network: LightC3N, data: Path) -> list[str]:
    """Stored tensors that equal a tensor of the starting points (there must be none)."""
    from recipes.c3n_light.audio_stage import start_audio_encoder
    from recipes.c3n_light.visual_stage import new_network

    start = new_network(data, network.c3n.channels, network.c3n.image_size)
    start_audio_encoder(start, data)
    before = start.state_dict()
    stored = {
        n: t for n, t in network.state_dict().items() if t.is_floating_point() and t.numel() > 1
    }
    constant = ("running_mean", "running_var")
    return [
        name
        for name, tensor in stored.items()
        if name in before
        and not name.endswith(constant)
        and torch.equal(tensor.half(), before[name].half())
    ]


def export(
    network: LightC3N, data: Path, target: Path, calibration: dict[str, Any], log: dict[str, Any]
) -> None:
    """Write ``target`` with labels, preprocessing, provenance and calibration."""
    names = {
        "rows": row_names(data),
        "categories": list(CATEGORY_NAMES),
        "sound_classes": list(SOUND_CLASS_NAMES),
        "sound_class_category": list(SOUND_CLASS_CATEGORY),
        "direct": [list(sound_class.direct) for sound_class in SOUND_CLASSES],
        "loose": [list(sound_class.loose) for sound_class in SOUND_CLASSES],
        "members": [torch.nonzero(row)[:, 0].tolist() for row in members()],
        "overlaps": [list(pair) for pair in OVERLAPS],
        "audioset": list(audioset().names),
    }
    weights = data / "weights"
    provenance = {
        "trained_by": "python -m recipes.c3n_light train",
        "started_from": {
            name: {"what": what, "sha256": _digest(weights / name)}
            for name, what in STARTED_FROM.items()
        },
        "teachers": TEACHERS,
        "log": log,
    }
    about = {
        "preprocessing": PREPROCESSING,
        "calibration": calibration,
        "provenance": provenance,
        "licence": LICENCE,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    save_light(target, network, names, about)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
