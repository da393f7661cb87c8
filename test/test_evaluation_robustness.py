"""The robustness suite through its command, on bags of a lamp and a fan that tests write."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_bags import PITCH, scene
from fakes import BrightnessSegmenter

from avs_ros.cli import evaluate_robustness
from avs_ros.cli.main import main
from avs_ros.evaluation.perturbations import dropped
from avs_ros.evaluation.robustness import events_of, play, read_recording, score_conditions
from avs_ros.evaluation.robustness_conditions import AXES, another_class, choose_conditions
from avs_ros.media.source import Frame
from avs_ros.segmentation import Bytes, Float, Prediction

START = 1_700_000_000_000_000_000
TENTH = 100_000_000


class PitchSegmenter(BrightnessSegmenter):
    """Marks bright pixels only while it hears the lamp's own pitch above everything else."""

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        answer = super().step(frame, window, stamp_ns)
        spectrum = np.abs(np.fft.rfft(window))
        loudest = 2 * np.pi * int(spectrum.argmax()) / len(window)
        if abs(loudest - PITCH["lamp"]) < 0.02:
            return answer
        return super().step(frame, np.zeros_like(window), stamp_ns)


def evaluate(segmenter: type, output: Path, *arguments: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    evaluate_robustness.add_arguments(parser)
    args = parser.parse_args([*map(str, arguments), "-o", str(output)])
    assert evaluate_robustness.run(args, load=lambda **_: segmenter()) == 0
    found: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    (one,) = found["models"].values()
    return {**found, **one}


def test_every_condition_is_scored_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lamp, fan = scene(tmp_path / "a.mcap"), scene(tmp_path / "b.mcap", "fan")
    scores = evaluate(PitchSegmenter, tmp_path / "out", lamp, fan)
    rows = scores["conditions"]
    assert scores["schema"] == 2 and len(scores["bags"]) == 2
    assert {row["axis"] for row in rows.values()} == {"clean", *AXES}
    assert all(row["frames"] == 40 and row["recordings"] == 2 for row in rows.values())
    # This model hears: the lamp is right, the fan is never found.
    assert rows["clean"]["m_j"] == pytest.approx(0.5)
    for name in ("silence", "noise alone"):
        assert rows[name]["empty"] == 1 and rows[name]["negative_miou"] == 0
        assert rows[name]["g_miou"] == pytest.approx(2 / 3)
        assert rows[name]["m_j"] is None
    # The fan's image with the lamp's sound deceives it.
    assert rows["other class"]["negative_miou"] == pytest.approx(0.5)
    assert rows["other class"]["false_positive_rate"] == pytest.approx(0.5 * 400 / 3072, rel=0.01)
    assert rows["1/64 of the light"]["m_j"] == 0
    assert rows["1/64 of the light"]["fall"] == pytest.approx(0.5)
    assert 0 < rows["blur 2 %"]["fall"] < 0.3
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("line chart") == 8 and "negative mIoU" in page and "http" not in page
    assert "1/64 of the light" in capsys.readouterr().out


def test_a_model_that_does_not_listen_is_found_out(tmp_path: Path) -> None:
    class Deaf(BrightnessSegmenter):
        def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
            return super().step(frame, np.ones_like(window), stamp_ns)

    lamp, fan = scene(tmp_path / "a.mcap"), scene(tmp_path / "b.mcap", "fan")
    rows = evaluate(Deaf, tmp_path / "out", lamp, fan, "--only", "other-class", "shift")[
        "conditions"
    ]
    assert set(rows) == {"clean", "other class"} | {
        f"shift {s} s" for s in ("-1", "-0.5", "-0.2", "-0.1", "+0.1", "+0.2", "+0.5", "+1")
    }
    assert rows["other class"]["negative_miou"] == pytest.approx(1, abs=1e-6)
    assert rows["other class"]["g_miou"] == pytest.approx(0, abs=1e-6)
    # Only the silence gate knows that the shifted sound has ended, or has not begun.
    assert rows["shift -0.1 s"]["fall"] == pytest.approx(0, abs=1e-6)
    assert rows["shift -1 s"]["fall"] == pytest.approx(1 / 20)
    assert rows["shift +1 s"]["fall"] == pytest.approx(10 / 20)


def test_two_runs_give_the_same_numbers(tmp_path: Path) -> None:
    paths = [scene(tmp_path / "a.mcap"), scene(tmp_path / "b.mcap", "fan")]
    recordings = [read_recording(path) for path in paths]
    conditions = choose_conditions(["noise", "dropped-chunks", "dropped-frames", "low-light"])
    first, second = (
        [*score_conditions(PitchSegmenter(), *recordings, 7, conditions).values()]
        for _ in range(2)
    )
    assert first == second and len(first) == 12 and len({str(frames) for frames in first}) > 2


def test_several_models_stand_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Deaf(BrightnessSegmenter):
        def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
            return super().step(frame, np.ones_like(window), stamp_ns)

    parser = argparse.ArgumentParser()
    evaluate_robustness.add_arguments(parser)
    bags = [scene(tmp_path / "a.mcap"), scene(tmp_path / "b.mcap", "fan")]
    arguments = [
        *map(str, bags),
        "-o",
        str(tmp_path / "out"),
        "--model",
        "hears",
        "--model",
        "deaf",
    ]
    args = parser.parse_args([*arguments, "--only", "other-class", "blur"])
    kinds = {"hears": PitchSegmenter, "deaf": Deaf}
    assert evaluate_robustness.run(args, load=lambda model, **_: kinds[model]()) == 0
    models = json.loads((tmp_path / "out" / "metrics.json").read_text())["models"]
    rows = {name: one["conditions"] for name, one in models.items()}
    assert list(rows) == ["hears", "deaf"]
    assert rows["deaf"]["other class"]["negative_miou"] == pytest.approx(1)
    assert rows["hears"]["other class"]["negative_miou"] == pytest.approx(0.5)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Side by side" in page and page.count("line chart") == 1
    shown = capsys.readouterr().out
    assert "hears" in shown and "deaf" in shown and "negative mIoU" in shown


def make_pitch_segmenter(**_: object) -> PitchSegmenter:
    """Other processes find it by this name."""
    return PitchSegmenter()


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    bags = [str(scene(tmp_path / f"{name}.mcap", name)) for name in ("lamp", "fan")]
    parser, found = argparse.ArgumentParser(), []
    evaluate_robustness.add_arguments(parser)
    for jobs in ("1", "2"):
        arguments = [*bags, "-o", str(tmp_path / jobs), "--jobs", jobs]
        args = parser.parse_args([*arguments, "--only", "noise", "other-class", "dropped-frames"])
        assert evaluate_robustness.run(args, load=make_pitch_segmenter) == 0
        found.append((tmp_path / jobs / "metrics.json").read_bytes())
    assert found[0] == found[1]


def test_one_class_alone_has_no_other_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = scene(tmp_path / "a.mcap")
    scores = evaluate(PitchSegmenter, tmp_path / "out", bag, "--only", "other-class")
    assert scores["conditions"]["other class"]["recordings"] == 0
    assert scores["conditions"]["other class"]["negative_miou"] is None
    assert "no sound of another" in capsys.readouterr().out


def test_the_other_sound_comes_from_the_next_recording_of_another_class(tmp_path: Path) -> None:
    paths = [scene(tmp_path / "a.mcap"), scene(tmp_path / "b.mcap"),
             scene(tmp_path / "c.mcap", "fan")]  # fmt: skip
    recordings = [read_recording(path) for path in paths]
    others = [another_class(recordings, i) for i in range(3)]
    assert [other.path.stem for other in others if other] == ["c", "c", "a"]
    assert recordings[0].level_dbfs == pytest.approx(20 * np.log10(6000 / 32768 / 2**0.5), abs=0.1)


def test_a_lost_image_leaves_the_last_answer_standing(tmp_path: Path) -> None:
    recording = read_recording(scene(tmp_path / "a.mcap"))
    segmenter, events = PitchSegmenter(), events_of(recording.path)
    some = dropped(Frame, 0.5, seed=1)(events())
    scores = play(segmenter, some, recording.truths, negative=False)
    assert len(scores) == 20
    kept = [score.iou for score in scores if score.marked]
    assert kept == pytest.approx([1.0] * len(kept)) and len(kept) >= 18
    none = dropped(Frame, 1.0)(events())
    none_arrive = play(segmenter, none, recording.truths, negative=False)
    assert [score.iou for score in none_arrive] == [0.0] * 20


def test_bad_input_is_one_message_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["evaluate", "robustness", str(scene(tmp_path / "a.mcap")), "-o", str(output)]
    assert main([*arguments, "--only", "rain"]) == 2
    assert "rain" in capsys.readouterr().err
    assert main([*arguments, "--truth", "/none"]) == 2
    assert "/none" in capsys.readouterr().err
    assert not output.exists()


def test_the_help_names_every_kind() -> None:
    parser = argparse.ArgumentParser()
    evaluate_robustness.add_arguments(parser)
    arguments = " ".join(parser.format_help().split())
    assert all(axis in arguments.replace("- ", "-") for axis in AXES)
    assert len(choose_conditions(["blur"])) == 3


def test_the_bundled_model_runs(tmp_path: Path) -> None:
    bag = str(scene(tmp_path / "a.mcap", frames=2))
    arguments = ["evaluate", "robustness", bag, "-o", str(tmp_path / "out"), "--engine", "torch"]
    assert main([*arguments, "--only", "silence"]) == 0
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())
    one = scores["models"]["c3n_light"]
    assert one["engine"] == "torch" and one["conditions"]["silence"]["empty"] == 1.0
