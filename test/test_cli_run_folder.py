"""results.jsonl, masks, and the frames that tell a film's story."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_answers import answer
from media_files import write_video
from run_here import records, run

from avs_ros.cli.run_folder import to_record, write_mask
from avs_ros.errors import MediaError
from avs_ros.media.film import choose_moments, thumbnails

KEYS = ["index", "time", "sounding", "score", "label", "audio_label", "point", "area", "instances",
        "ms"]


def test_a_record_has_the_documented_keys_in_plain_types() -> None:
    record = to_record(answer(64, 48, [(1, 2, 11, 12)], ["cat"], point=(6.0, 7.0)), 3, 0.12)
    assert list(record) == KEYS
    again = json.loads(json.dumps(record))
    assert again["index"] == 3
    assert again["sounding"] is True
    assert again["point"] == [6.0, 7.0]
    (one,) = again["instances"]
    assert one == {"id": 1, "label": "cat", "score": 0.9, "box": [1.0, 2.0, 11.0, 12.0]}
    silent = to_record(answer(64, 48, [], []), 0, 0.0)
    assert silent["point"] is None
    assert silent["instances"] == []


def test_lines_and_masks_are_of_this_run(tmp_path: Path) -> None:
    masks = tmp_path / "out" / "masks"
    masks.mkdir(parents=True)
    write_mask(masks / "000099.png", np.zeros((2, 2), np.uint8))
    (masks / "notes.txt").write_text("mine")
    film = write_video(tmp_path / "v.mp4", 1.4, on=(0.0, 1.4), fps=5)
    status, _, err = run(film, "-o", tmp_path / "out")
    assert status == 0, err
    names = [f"{line['index']:06d}.png" for line in records(tmp_path / "out")]
    assert len(names) == 7
    assert sorted(path.name for path in masks.iterdir()) == [*names, "notes.txt"]
    mask = cv2.imread(str(masks / names[-1]), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}


def test_a_mask_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot be written"):
        write_mask(tmp_path / "none" / "0.png", np.zeros((2, 2), np.uint8))


def test_moments_are_the_surest_frame_of_each_run_longest_first() -> None:
    labels = [""] * 4 + ["cat"] * 5 + [""] + ["dog"] * 3
    scores = [0.0] * 4 + [0.6, 0.7, 0.95, 0.8, 0.7] + [0.1] + [0.9, 0.8, 0.8]
    times = [i * 0.1 for i in range(len(labels))]
    assert choose_moments(times, scores, labels) == [2, 6, 9, 10]
    assert choose_moments(times, scores, labels, most=2) == [2, 6]
    assert choose_moments([], [], []) == []


def test_thumbnails_are_the_frames_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 1.0)
    images = thumbnails(path, [0, 7], width=48)
    assert len(images) == 2
    image = cv2.imdecode(np.frombuffer(images[0], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (32, 48, 3)
