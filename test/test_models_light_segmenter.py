"""The light model's segmentation network: positions, its share of the maps, its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from avs_ros.models.light.category_segmenter import CategorySegmenter, DeepLabV3, VocOutput
from avs_ros.models.light.checkpoint import load_light, save_light
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import raise_to_visible
from avs_ros.models.light.similarity import light_similarity
from avs_ros.models.light.steps import LightStep

SIDE, CELLS, FINE = 64, 5, 17
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
        trunk_size=64, segments=True,
    )  # fmt: skip
    net.segmenter = CategorySegmenter(3, 8, (15, 12, -1))
    net.fold()
    for block in net.c3n.tpavi:
        nn.init.normal_(block.project_norm.weight)
    return net.eval()


def seen(classes: Tensor) -> VocOutput:
    return VocOutput(classes, torch.zeros(1, 256, CELLS, CELLS), torch.zeros(1, 24, FINE, FINE))


def test_positions_lie_on_the_corners() -> None:
    found = DeepLabV3().eval()(torch.zeros(2, 3, SIDE, SIDE))
    assert found.classes.shape == (2, 21, CELLS, CELLS)
    assert found.hidden.shape == (2, 256, CELLS, CELLS)
    assert found.fine.shape == (2, 24, FINE, FINE)


def test_a_class_is_marked_where_it_is_seen() -> None:
    part = CategorySegmenter(1, 8, [3])
    classes = torch.zeros(1, 21, CELLS, CELLS)
    classes[0, 3] = 16.0 * torch.arange(CELLS)  # each cell says which pixel it stands for
    with torch.no_grad():
        out = part.combine(seen(classes), torch.zeros(1, 8, 16, 16), torch.zeros(1, 1, 16, 16))
    middle = 4.0 * torch.arange(16) + 2.0
    assert out.shape == (1, 1, 16, 16)
    assert torch.allclose(out[0, 0], 0.5 * middle.expand(16, 16), atol=1e-4)


def test_a_category_that_voc_does_not_know_begins_with_its_map() -> None:
    part = CategorySegmenter(2, 8, [3, -1])
    classes = torch.randn(1, 21, CELLS, CELLS)
    ramp = torch.arange(16.0).expand(1, 2, 16, 16)
    with torch.no_grad():
        out = part.combine(seen(classes), torch.randn(1, 8, 16, 16), ramp)
    # By way of the finer grid it moves by less than half a cell.
    assert torch.allclose(out[0, 1, :, 2:-2], ramp[0, 1, :, 2:-2], atol=0.45)
    assert not torch.allclose(out[0, 0, :, 2:-2], 0.5 * ramp[0, 0, :, 2:-2], atol=0.25)


def test_the_step_gives_the_networks_numbers_at_two_sizes() -> None:
    net = network()
    frames, sound = torch.rand(1, 3, 96, 96) * 2 - 1, torch.randn(1, 16000) * 0.1
    with torch.no_grad():
        feature, logits = net.audio_encoder(sound)
        whole = net(frames, feature, logits)
        past, shares = torch.zeros(0, 4, 17), torch.ones(1)
        out = LightStep(net)(frames, feature, logits, whole.heard, past, shares)
        blank = net(torch.zeros_like(frames), feature, logits)
    assert whole.masks.shape == out.masks.shape == (1, 3, 24, 24)
    assert whole.objectness.shape == (1, 1, 24, 24)
    assert torch.allclose(out.masks, raise_to_visible(whole.masks), atol=1e-4)
    assert torch.allclose(out.gate, whole.gate, atol=1e-4)
    assert not torch.allclose(blank.masks, whole.masks, atol=1e-3)


@pytest.mark.parametrize(("side", "seen_at"), [(96, 64), (48, 32), (192, 128), (16, 32)])
def test_c3n_sees_frames_to_scale(side: int, seen_at: int) -> None:
    assert network().trunk_view(torch.zeros(1, 3, side, side)).shape[2:] == (seen_at, seen_at)


def test_the_file_keeps_it(tmp_path: Path) -> None:
    net, path = network(), tmp_path / "small.safetensors"
    with torch.no_grad():
        nn.init.normal_(net.segmenter.mix.weight)
    save_light(path, net, NAMES, {"licence": "x"})
    found = load_light(path).network
    assert (found.image_size, found.c3n.image_size) == (96, 64)
    frames = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        sound = net.audio_encoder(torch.ones(1, 16000) * 0.01)
        expected, read = net(frames, *sound).semantic, found(frames, *sound).semantic
    assert torch.allclose(read, expected, atol=0.02 * float(expected.abs().max()))
