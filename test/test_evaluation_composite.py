"""The composite benchmark through its command: the generated set, and a folder of a few files."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from grey_animals import RATE, Deaf, Oracle, animals_folder, evaluate

from avs_ros.cli import evaluate_composite
from avs_ros.cli.main import main
from avs_ros.errors import ParameterError
from avs_ros.evaluation import composite_benchmark
from avs_ros.evaluation.composite import (
    MATCHED,
    Case,
    make_cases,
)
from avs_ros.evaluation.composite_benchmark import ScoredCase, how_many_found, reaction
from avs_ros.evaluation.composite_data import (
    LabelledImage,
    LabelledSound,
    read_dataset,
)
from avs_ros.evaluation.composite_scores import intervals, lead, score
from avs_ros.postprocess import PostprocessConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animals_folder(tmp_path_factory.mktemp("data"))


def test_a_model_that_hears_and_sees_gets_everything_right(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluate(Oracle, tmp_path / "out", "--data", folder)
    scores = found["scores"]
    assert (scores["matched"], scores["mismatched"], scores["silent"]) == (5, 4, 4)
    assert scores["m_j"] > 0.95 and scores["label_accuracy"] == 1
    assert scores["mismatch_empty"] == 1 and scores["silence_empty"] == 1
    assert scores["two_share"] == 1 and scores["two_answered"] == 1
    assert scores["silent_marked"] == 0 and scores["salience_bias"] == 0
    # Of two pitches one is louder by a hair: this model answers with that one alone.
    assert (scores["both_marked"], scores["both_answered"]) == (0, 1) and scores["both"] > 0
    assert set(found["classes"]) == {"cat", "dog"}
    assert all(sound.endswith("_4.wav") for sound in found["sounds"])
    assert len(found["images"]) == 4 and found["engine"] == "numpy"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "M_J by class" in page and "http" not in page
    assert "salience_bias" in capsys.readouterr().out


def test_a_model_that_does_not_listen_is_found_out(folder: Path, tmp_path: Path) -> None:
    scores = evaluate(Deaf, tmp_path / "out", "--data", folder)["scores"]
    assert scores["mismatch_empty"] == 0 and scores["mismatch_false"] > 0.1
    assert scores["silence_empty"] == 1
    assert scores["two_share"] == pytest.approx(scores["two_by_area"], abs=0.02)
    assert scores["silent_marked"] > 0.95 and scores["salience_bias"] > 0.02
    page = (tmp_path / "out" / "report.html").read_text()
    assert scores["both_marked"] == scores["both_answered"] == 1
    assert "Worst: mismatched" in page and "Worst: two objects" in page
    assert "Worst: silence" not in page and "data:image/jpeg" in page


def test_several_models_answer_the_same_cases_side_by_side(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    evaluate_composite.add_arguments(parser)
    arguments = [
        "--data",
        str(folder),
        "-o",
        str(tmp_path),
        "--model",
        "hears",
        "--model",
        "deaf.pt",
    ]
    kinds = {"hears": Oracle, "deaf.pt": Deaf}
    args = parser.parse_args(arguments)
    assert evaluate_composite.run(args, load=lambda model, **_: kinds[model]()) == 0
    models = json.loads((tmp_path / "metrics.json").read_text())["models"]
    assert list(models) == ["hears", "deaf.pt"]
    hears, deaf = (one["scores"] for one in models.values())
    assert hears["two"] == deaf["two"] and hears["two_by_area"] == deaf["two_by_area"]
    assert hears["two_share_smaller"] == 1 > deaf["two_share_smaller"]
    assert hears["silent_marked"] == 0 < deaf["silent_marked"]
    # The second one marks the wrong one too: the first leads by what that costs, in every case.
    lead = models["deaf.pt"]["lead"]["mismatch_empty"]
    assert (lead["value"], lead["count"]) == (1, hears["mismatched"])
    assert models["hears"]["lead"] == {}
    by = models["deaf.pt"]["lead"]["m_j"]["value"]
    assert by == pytest.approx(hears["m_j"] - deaf["m_j"]) and by > 0.1
    page = (tmp_path / "report.html").read_text()
    assert "hears less the others" in page
    assert "<th>hears</th><th>deaf</th>" in page and "Worst: two objects, deaf" in page
    shown = capsys.readouterr().out
    assert "hears" in shown and "deaf" in shown and "salience_bias" in shown
    args = parser.parse_args([*arguments, "--model", "hears"])
    with pytest.raises(ParameterError, match="twice"):
        evaluate_composite.run(args, load=lambda model, **_: kinds[model]())


def answered(number: int, iou: float) -> ScoredCase:
    image = LabelledImage(f"image {number}", {"dog": 1.0}, True, lambda: pytest.fail("not asked"))
    case = Case(MATCHED, image, "dog", LabelledSound("bark", "dog_bark", lambda: np.ones(RATE)))
    return ScoredCase(case, 0.5, ("beagle",), None, "Bark", iou)


def test_intervals_draw_whole_images() -> None:
    values = [0.0, 1.0] * 20
    apart = [answered(number, iou) for number, iou in enumerate(values)]
    together = [answered(number // 4, iou) for number, iou in enumerate(sorted(values))]
    narrow, wide = (intervals(answers)["m_j"] for answers in (apart, together))
    assert narrow and wide and narrow[0] < 0.5 < narrow[1]
    assert wide[1] - wide[0] > narrow[1] - narrow[0] > 0
    assert intervals(apart[:4])["m_j"] is None and intervals(apart)["two_share"] is None


def test_a_lead_is_taken_case_by_case() -> None:
    ours = [answered(number, 0.5 + 0.05 * number) for number in range(8)]
    theirs = [answered(number, 0.25 + 0.05 * number) for number in range(8)]
    found = lead(ours, theirs)["m_j"]
    # The same everywhere: no doubt at all.
    assert found and found.value == found.low == found.high == pytest.approx(0.25)


def test_names_given_and_names_heard_are_scored_apart() -> None:
    scores = score([answered(1, 1.0), replace(answered(2, 1.0), audio_label="Meow", labels=())])
    assert (scores["label_accuracy"], scores["heard_accuracy"]) == (1, 0.5)


def test_of_two_that_sound_each_needs_a_name_of_its_own() -> None:
    things = {"cat": np.zeros((8, 8), bool), "person": np.zeros((8, 8), bool)}
    things["cat"][:4, :4], things["person"][:4, 4:] = True, True
    every = np.ones((8, 8), bool)
    assert how_many_found(["tabby"], every, things) == 1
    assert how_many_found(["tabby", "person"], every, things) == 2
    every[:, 5:] = False  # a quarter of the person is too little
    assert how_many_found(["tabby", "person"], every, things) == 1


def test_a_mask_comes_after_the_sound_and_goes_after_its_end(folder: Path) -> None:
    cases = make_cases(read_dataset(folder))
    # The oracle listens to the whole window: the loudest pitch is there from the first tenth on,
    # and until the window has left it behind.
    found = reaction(Oracle(), cases, PostprocessConfig())
    assert found["onset_answered"] == 1
    assert 0 <= found["onset_delay_s"] <= 0.2 and 0.8 <= found["offset_delay_s"] <= 1.1
    assert reaction(Oracle(), [])["onset_delay_s"] is None


def test_the_gates_options_reach_the_answers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = evaluate(
        Oracle, tmp_path, "--data", folder, "--category-thresholds", "lamp=1",
        "--sounding-threshold", "1")["scores"]
    assert scores["m_j"] == 0 and scores["onset_answered"] == 0
    arguments = ["evaluate", "composite", "--data", str(folder), "-o", str(tmp_path / "no")]
    assert main([*arguments, "--category-thresholds", "kat=0.4"]) == 2
    assert "c3n_light does not know" in capsys.readouterr().err


def test_bad_input_is_one_sentence_and_leaves_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["evaluate", "composite", "-o", str(output), "--data"]
    assert main([*arguments, str(tmp_path)]) == 2
    assert "0 images" in capsys.readouterr().err
    assert main([*arguments, str(folder), "--limit", "-1"]) == 2
    assert "--limit" in capsys.readouterr().err
    assert not output.exists()


def test_the_bundled_model_runs_on_the_generated_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    # One short film of those that measure how soon it answers.
    monkeypatch.setattr(composite_benchmark, "REACTION_CASES", 1)
    monkeypatch.setattr(composite_benchmark, "FPS", 2)
    arguments = ["evaluate", "composite", "-o", str(tmp_path), "--limit", "1", "--engine", "torch"]
    assert main(arguments) == 0
    about = json.loads((tmp_path / "metrics.json").read_text())
    scores = about["models"]["c3n_light"]["scores"]
    assert scores["m_j"] > 0.3 and scores["silence_empty"] == 1 and scores["two"] == 1
