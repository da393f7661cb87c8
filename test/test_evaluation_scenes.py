"""Models on the same scenes: scenes, verdicts, and the command."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avs_ros.cli.main import main
from avs_ros.evaluation import scenes
from avs_ros.evaluation.avsbench import check_layout
from avs_ros.evaluation.composite_benchmark import answer_to
from avs_ros.evaluation.composite_generated import generated_dataset
from avs_ros.evaluation.scenes import write_clips
from avs_ros.evaluation.two_of_a_kind import make_twins, tell
from avs_ros.inference import create_segmenter
from avs_ros.segmentation import Layer, Prediction

pytest.importorskip("skimage.data")
pytest.importorskip("soxr")


def test_scenes_hold_what_their_names_say() -> None:
    shots = {shot.name: shot for shot in scenes.shots()}
    salient = shots["salient cat, speech"]
    cat, person = salient.view.masks["cat"], salient.view.masks["person"]
    assert cat.mean() > 5 * person.mean() > 0.1
    assert not (cat & person).any()
    assert salient.sounds == "person" and not shots["cat-and-person, silence"].window.any()
    for shot in shots.values():
        assert shot.window.shape == (16000,) and np.abs(shot.window).max() <= 1
        assert not shot.sounds or shot.view.masks[shot.sounds].any()


def test_verdict_tells_the_right_thing_from_the_silent_one() -> None:
    shots = {shot.name: shot for shot in scenes.shots()}
    segmenter = create_segmenter("c3n_light", engine="torch", device="cpu")
    try:
        meow = shots["cat-and-person, meow"]
        answer = answer_to(segmenter, meow.view.rgb, meow.window)
        verdict = scenes.judge(answer, meow)
        assert verdict.iou is not None and verdict.iou > 0.6 and verdict.other < 0.1
        # The same answer, had the other one sounded.
        other = scenes.judge(answer, shots["cat-and-person, speech"])
        assert other.iou == 0.0 and other.other > 0.6
        silence = shots["cat-and-person, silence"]
        nothing = scenes.judge(
            answer_to(segmenter, silence.view.rgb, silence.window), silence)
        assert nothing.iou is None and nothing.marked == 0 and nothing.instances == ()
    finally:
        segmenter.close()


def test_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "sheet.png"
    assert main(["evaluate", "scenes", "--model", "c3n_light", "-o", str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(scenes.shots())
    image = cv2.imread(str(target))
    assert image is not None and image.shape[1] == scenes.WIDTH + 8
    marked = [line for line in lines[1:] if not line.endswith("nothing")]
    strict = ["--sounding-threshold", "1", "--model", "c3n_light", "-o", str(target)]
    assert marked and main(["evaluate", "scenes", *strict]) == 0
    assert all(line.endswith("nothing") for line in capsys.readouterr().out.splitlines()[1:])
    assert main(["evaluate", "scenes", "--model", "no_such", "-o", str(target)]) == 2


def test_two_of_a_kind_are_told_apart_only_by_masks_of_their_own() -> None:
    dataset = generated_dataset()
    cases = make_twins(dataset)
    assert {case.category for case in cases} == {"cat", "person"}
    assert all(case.image is not case.second for case in cases)

    class Both:
        """Marks all of the image as one thing, or each half as one."""

        sample_rate, window_s = 16000, 1.0

        def __init__(self, apart: bool) -> None:
            self.apart = apart

        def reset(self) -> None:
            pass

        def step(self, frame: np.ndarray, window: np.ndarray, stamp_ns: int) -> Prediction:
            # Told the truth by the case that is being asked.
            true, cut = self.truth
            halves = [true.copy(), true.copy()]
            halves[0][:, cut:], halves[1][:, :cut] = False, False
            masks = halves if self.apart else [true]
            layers = tuple(Layer(m.astype(np.float32), "cat", 0.9) for m in masks)
            whole = np.asarray(true, np.float32)
            return Prediction(whole, 0.9, "cat", 0, "", 0.0, layers)

    for apart in (True, False):
        model = Both(apart)
        told = []
        for case in cases[:2]:
            true = case.view().masks[case.category]
            model.truth = (true, case.image.view().rgb.shape[1])
            told.append(tell(model, [case]))  # type: ignore[arg-type]
        assert all(one.both == 1.0 and one.apart == float(apart) for one in told)


def test_clips_are_in_avsbenchs_layout(tmp_path: Path) -> None:
    shots = scenes.shots()
    count = write_clips(tmp_path, shots)
    assert count == sum(bool(shot.sounds) for shot in shots)
    report = check_layout(tmp_path, "s4")
    assert report.complete and report.clips["test"] == count
