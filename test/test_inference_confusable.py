"""Categories that the same sounds fit are believed in together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avs_ros.inference.category_gate import (
    confusable_indices,
    pool_confusable,
    without_confusable,
)
from avs_ros.inference.light import BUNDLED, LightSegmenter
from avs_ros.models.checkpoints import save_checkpoint
from avs_ros.models.light.checkpoint import load_light, tensors_of


def test_the_likeliest_gets_what_is_certain_of_all() -> None:
    gate = np.array([0.9, 0.5, 0.6, 0.2], np.float32)
    pooled = pool_confusable(gate, [(1, 2, 3)])
    assert pooled == pytest.approx([0.9, 0.5, 1 - 0.5 * 0.4 * 0.8, 0.2])
    assert gate[2] == pytest.approx(0.6)
    assert np.array_equal(pool_confusable(gate, ()), gate)


def test_names_become_places_and_a_lone_one_is_no_group() -> None:
    categories = ("dog", "car", "bus")
    assert confusable_indices(categories, [["car", "bus", "tram"], ["dog", "wolf"]]) == ((1, 2),)


def test_what_is_chosen_takes_its_group_with_it() -> None:
    score = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    bus = np.array([False, True, False, False])
    assert without_confusable(score, bus, [(1, 2)]) == pytest.approx([0.9, 0, 0, 0.6])
    assert without_confusable(score, bus, [(0, 3)]) == pytest.approx([0.9, 0, 0.7, 0.6])
    assert score[1] == pytest.approx(0.8)


def test_a_file_without_groups_believes_in_each_alone(tmp_path: Path) -> None:
    """A sound of motors and an image of nothing: only the pooled score may differ."""
    about = dict(load_light(BUNDLED).metadata)
    calibration = dict(about["calibration"])
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (64, 64, 3), np.uint8)
    window = (0.1 * rng.standard_normal(16000)).astype(np.float32)
    scores = []
    everything = list(load_light(BUNDLED).categories)
    for number, groups in enumerate(([], [everything])):
        path = tmp_path / f"{number}.safetensors"
        changed = {**about, "calibration": {**calibration, "confusable_groups": groups}}
        save_checkpoint(path, tensors_of(BUNDLED), changed)
        scores.append(LightSegmenter(path).step(frame, window, 0).score)
    assert scores[1] > scores[0]
