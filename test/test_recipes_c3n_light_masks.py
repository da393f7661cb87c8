"""The stage that teaches the detector's mask head."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from light_training_data import Reporter

from avs_ros.inference.light import BUNDLED
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.detector import Detector
from recipes.c3n_light.__main__ import main
from recipes.c3n_light.laying import Scene
from recipes.c3n_light.mask_training import MaskStage, mask_loss
from recipes.c3n_light.stages import learn


class Squares:
    """Scenes of one bright square; ``row``: what it is."""

    def draw_outlined(self, rng: np.random.Generator, size: int) -> Scene:
        """The upper left half of the square's box is the object."""
        side = int(rng.integers(32, 64))
        x, y = (int(v) for v in rng.integers(0, size - side, 2))
        frame = np.full((size, size, 3), 90, np.uint8)
        mask = np.zeros((size, size), np.float32)
        triangle = np.add.outer(np.arange(side), np.arange(side)) < side
        mask[y : y + side, x : x + side] = triangle
        frame[mask > 0] = 240
        box = np.array([x, y, x + side, y + side], np.float32)
        small = mask.reshape(size // 4, 4, size // 4, 4).mean(axis=(1, 3))
        return Scene(frame, (0,), (box,), (small,), (True,))


class Framing(Detector):
    """Boxes of anchors that lie in the square are right, whatever the network says."""

    truth: torch.Tensor

    def forward(self, frames: torch.Tensor) -> object:  # type: ignore[override]
        """See :class:`Detector`."""
        found = super().forward(frames)
        shown = frames.mean(dim=1) > 0.5
        boxes = found.boxes.clone()
        for index, one in enumerate(shown):
            ys, xs = torch.nonzero(one, as_tuple=True)
            boxes[index] = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()
        return found._replace(boxes=boxes)


def test_outlines_are_learnt_and_nothing_else_moves(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Framing(2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    stage = MaskStage(network, Squares(), 96, 4, 1)  # type: ignore[arg-type]
    first = np.mean([float(stage.loss(step, 0.0).detach()) for step in range(5)])
    learn(stage, 200, tmp_path, Reporter(), seed=1)
    last = np.mean([float(stage.loss(step, 1.0).detach()) for step in range(5)])
    assert last < 0.7 * first
    moved = {name for name, tensor in network.state_dict().items()
             if not torch.equal(tensor, before[name])}  # fmt: skip
    assert moved and all("mask_branch" in name or "filters" in name for name in moved)


def test_what_lies_outside_of_the_box_does_not_count() -> None:
    masks = torch.zeros(1, 8, 8)
    masks[:, :4, :4] = 1
    right = (masks - 0.5) * 20
    around = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    good = float(mask_loss(right, masks, around))
    right[:, 4:] *= -1
    assert float(mask_loss(right, masks, around)) == pytest.approx(good)
    assert float(mask_loss(right, masks, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))) > good + 1
    assert good == pytest.approx(0, abs=1e-3)


def test_one_command_gives_a_file_another_mask_head(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    people = sorted(path.name for path in (data / "images" / "people").glob("*.jpg"))[:3]
    streets = sorted(path.name for path in (data / "images" / "camvid").glob("*.jpg"))[:3]
    known = {f"people/{name}": [[0, 0.9, 0.0, 0.0, 1.0, 1.0]] for name in people}
    known |= {f"camvid/{name}": [[2, 0.9, 0.0, 0.0, 1.0, 1.0]] for name in streets}
    (tmp_path / "believed.json").write_text(json.dumps(known))
    (tmp_path / "salient").mkdir()
    (tmp_path / "salient" / "done").touch()
    call = ["masks", "--data", str(data), "-o", str(tmp_path), "--set", "stamps=",
            "--set", "steps=2", "--set", "batch=2", "--set", "size=96"]  # fmt: skip
    assert main(call) == 0
    assert main(call) == 2  # a run is there already
    made, bundled = (load_light(path) for path in (
        tmp_path / "c3n_light.safetensors", BUNDLED
    ))  # fmt: skip
    assert made.metadata["provenance"]["masks"]["settings"]["steps"] == 2
    assert made.metadata["detecting"] == bundled.metadata["detecting"]
    assert made.detector is not None and bundled.detector is not None
    kept = bundled.detector.state_dict()
    for name, tensor in made.detector.state_dict().items():
        head = "mask_branch" in name or "filters" in name
        assert torch.equal(tensor, kept[name]) != head, name
