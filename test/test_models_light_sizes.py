"""The light model where C3N sees frames smaller than they come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from avs_ros.models.light.checkpoint import load_light, save_light
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import raise_to_visible
from avs_ros.models.light.similarity import light_similarity
from avs_ros.models.light.steps import LightStep

NAMES = {
    "rows": [f"row{i}" for i in range(1003)],
    "categories": ["a", "b", "c"],
    "sound_classes": ["a", "b", "c"],
    "sound_class_category": [0, 1, 2],
    "direct": [[0], [74], [137]],
    "loose": [[1], [], []],
    "members": [[5, 1000], [6, 1001], [1002]],
    "audioset": [str(i) for i in range(527)],
}


def network() -> LightC3N:
    """Frames of 96 px, of which C3N sees 64."""
    torch.manual_seed(0)
    members = torch.zeros(3, 1003)
    for category, rows in enumerate(NAMES["members"]):
        members[category, rows] = 1
    similarity = light_similarity(
        NAMES["members"], NAMES["sound_class_category"], NAMES["direct"], NAMES["loose"]
    )
    net = LightC3N(
        similarity, members, NAMES["sound_class_category"], channels=8, image_size=96,
        trunk_size=64,
    )  # fmt: skip
    net.fold()
    for block in net.c3n.tpavi:
        nn.init.normal_(block.project_norm.weight)
    return net.eval()


def test_the_step_gives_the_networks_numbers_at_two_sizes() -> None:
    net = network()
    frames, sound = torch.rand(1, 3, 96, 96) * 2 - 1, torch.randn(1, 16000) * 0.1
    with torch.no_grad():
        feature, logits = net.audio_encoder(sound)
        whole = net(frames, feature, logits)
        past, shares = torch.zeros(0, 4, 17), torch.ones(1)
        out = LightStep(net)(frames, feature, logits, whole.heard, past, shares)
        blank = net(torch.zeros_like(frames), feature, logits)
    assert whole.masks.shape == out.masks.shape == (1, 3, 16, 16)
    assert whole.objectness.shape == (1, 1, 16, 16)
    assert torch.allclose(out.masks, raise_to_visible(whole.masks), atol=1e-4)
    assert torch.allclose(out.gate, whole.gate, atol=1e-4)
    assert not torch.allclose(blank.masks, whole.masks, atol=1e-3)


@pytest.mark.parametrize(("side", "seen_at"), [(96, 64), (48, 32), (192, 128), (16, 32)])
def test_c3n_sees_frames_to_scale(side: int, seen_at: int) -> None:
    assert network().trunk_view(torch.zeros(1, 3, side, side)).shape[2:] == (seen_at, seen_at)


def test_the_file_keeps_both_sizes(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "small.safetensors"
    save_light(path, net, NAMES, {"licence": "x"})
    found = load_light(path).network
    assert (found.image_size, found.c3n.image_size) == (96, 64)
    frames = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        sound = net.audio_encoder(torch.ones(1, 16000) * 0.01)
        expected, read = net(frames, *sound).semantic, found(frames, *sound).semantic
    assert torch.allclose(read, expected, atol=0.02 * float(expected.abs().max()))
