"""The recipe's clips are judged by gates that have not met them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from media_files import write_video

from avs_ros.inference.explaining import INPUTS
from avs_ros.inference.gated_segmenter import BUNDLED
from recipes.c3n_light.clips_apart import clips_apart
from recipes.c3n_light.gate_examples import clips_in

HEAD = ["clip", "time_s", "label", "x0", "y0", "x1", "y1", "role", "sure"]
ZEROS, ONES = [0.0] * INPUTS, [1.0] * INPUTS


def gate(bias: float) -> dict[str, object]:
    """One that says the same of everything."""
    return {
        "mean": ZEROS, "spread": ONES, "hidden": [ZEROS], "hidden_bias": [0.0], "weights": [0.0],
        "bias": bias,
    }  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips in one set and one in the other, in none of which anything visible sounds."""
    for name, clips in (("clips", ("a", "b")), ("clips_dev", ("c",))):
        (tmp_path / name).mkdir()
        rows = [[f"{clip}.mp4", 1.5, "none", "", "", "", "", "", 1] for clip in clips]
        with (tmp_path / name / "boxes.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([HEAD, *rows])
        for clip in clips:
            write_video(tmp_path / name / f"{clip}.mp4", 2.0, fps=5, on=(0.0, 2.0))
    return tmp_path


def test_each_clip_is_judged_by_the_gate_of_its_own_fold(data: Path) -> None:
    """The first gate accepts everything and the second nothing; the third clip is of the first."""
    found = clips_apart(BUNDLED, data, [gate(9.0), gate(-9.0)])
    assert found == {"clips": ["empty 0.500 of 2"], "clips_dev": ["empty 0.000 of 1"]}
    found = clips_apart(BUNDLED, data, [gate(-9.0), gate(9.0)])
    assert found == {"clips": ["empty 0.500 of 2"], "clips_dev": ["empty 1.000 of 1"]}


def test_without_clips_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert clips_in(tmp_path, "clips") == []
    assert clips_apart(BUNDLED, tmp_path, []) == {}
