"""Models on the same scenes: scenes, verdicts, and the command."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avs_ros.evaluation import side_by_side
from avs_ros.inference import create_segmenter

pytest.importorskip("skimage.data")
pytest.importorskip("soxr")


def test_scenes_hold_what_their_names_say() -> None:
    shots = {shot.name: shot for shot in side_by_side.shots()}
    salient = shots["salient cat, speech"]
    cat, person = salient.view.masks["cat"], salient.view.masks["person"]
    assert cat.mean() > 5 * person.mean() > 0.1
    assert not (cat & person).any()
    assert salient.sounds == "person" and not shots["cat-and-person, silence"].window.any()
    for shot in shots.values():
        assert shot.window.shape == (16000,) and np.abs(shot.window).max() <= 1
        assert not shot.sounds or shot.view.masks[shot.sounds].any()


def test_verdict_tells_the_right_thing_from_the_silent_one() -> None:
    shots = {shot.name: shot for shot in side_by_side.shots()}
    segmenter = create_segmenter("c3n_light", engine="torch", device="cpu")
    try:
        meow = shots["cat-and-person, meow"]
        answer = side_by_side.ask(segmenter, meow)
        verdict = side_by_side.judge(answer, meow)
        assert verdict.iou is not None and verdict.iou > 0.6 and verdict.other < 0.1
        # The same answer, had the other one sounded.
        other = side_by_side.judge(answer, shots["cat-and-person, speech"])
        assert other.iou == 0.0 and other.other > 0.6
        silence = shots["cat-and-person, silence"]
        nothing = side_by_side.judge(side_by_side.ask(segmenter, silence), silence)
        assert nothing.iou is None and nothing.marked == 0 and nothing.instances == ()
    finally:
        segmenter.close()


def test_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sheet.png"
    assert side_by_side.main(["--model", "c3n_light", "-o", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(side_by_side.shots())
    picture = cv2.imread(str(target))
    assert picture is not None and picture.shape[1] == side_by_side.WIDTH + 8
    assert side_by_side.main(["--model", "no_such", "-o", str(target)]) == 2
