"""Weight files of earlier versions keep loading: their names become today's."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.weight_file import WeightFile, today


def stored(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return set(file.keys())


def test_the_shipped_file_loads_under_todays_names() -> None:
    light = load_light(BUNDLED)
    assert light.categories[1] == "dog" and "baby" in light.sound_classes
    assert light.metadata["names"]["sound_class_category"][0] == 0
    assert any(name.startswith(("hearing.", "audio_encoder.")) for name in stored(BUNDLED))


def test_old_names_become_todays_at_any_depth() -> None:
    old = {
        "names": {"families": ["dog"], "voice_family": [0]},
        "log": [{"lessons": {"families": 1}}],
    }
    assert today(old) == {
        "names": {"categories": ["dog"], "sound_class_category": [0]},
        "log": [{"stages": {"categories": 1}}],
    }
    assert today(today(old)) == today(old)
    tensors = {"hearing.features.0": torch.zeros(1), "c3n.hearing": torch.ones(1)}
    assert set(WeightFile(tensors).state_dict()) == {"audio_encoder.features.0", "c3n.hearing"}
