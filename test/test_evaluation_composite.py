"""The composite benchmark through its command: the generated set, and a folder of a few files."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import BrightnessSegmenter

from avs_ros.cli import evaluate_composite
from avs_ros.cli.main import main
from avs_ros.errors import DatasetError, ParameterError
from avs_ros.evaluation import composite_data
from avs_ros.evaluation.baselines import create_baseline
from avs_ros.evaluation.composite import (
    BOTH,
    MATCHED,
    MISMATCHED,
    SILENT,
    TWO,
    Case,
    join,
    make_cases,
)
from avs_ros.evaluation.composite_benchmark import Answer, CompositeBenchmark, how_many_found
from avs_ros.evaluation.composite_data import Library, Picture, Recording, View, read_library
from avs_ros.evaluation.composite_generated import generated_library
from avs_ros.evaluation.composite_reaction import reaction
from avs_ros.evaluation.composite_scores import intervals, lead, score
from avs_ros.evaluation.label_sets import names_it
from avs_ros.postprocess import PostprocessConfig
from avs_ros.segmentation import Bytes, Float, Layer, Prediction
from recipes.c3n_light import pictures as training_pictures
from recipes.c3n_light import recordings as training_recordings

soundfile = pytest.importorskip("soundfile")
RATE = 16000
GREY = {"dog": 240, "cat": 120}
PITCH = {"dog_bark": 300.0, "cat": 1200.0, "rain": 4000.0}


class Oracle(BrightnessSegmenter):
    """Marks the grey of the animal whose pitch it hears; ``deaf``: of any while there is sound."""

    deaf = False

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        spectrum = np.abs(np.fft.rfft(window))
        loudest = spectrum.argmax() * RATE / len(window)
        layers = []
        for animal, sound in (("dog", "dog_bark"), ("cat", "cat")):
            here = np.abs(frame.mean(axis=2) - GREY[animal]) < 30
            if window.any() and here.any() and (self.deaf or abs(loudest - PITCH[sound]) < 20):
                name = "beagle" if animal == "dog" else "tabby"
                layers.append(Layer(here.astype(np.float32), name, 1.0))
        whole = np.zeros(frame.shape[:2], np.float32)
        for layer in layers:
            whole = np.maximum(whole, layer.probability)
        label = layers[0].label if layers else ""
        sounding = 1.0 if layers else 0.0
        return Prediction(whole, sounding, label, 0, "Animal", 1.0, tuple(layers))


class Deaf(Oracle):
    deaf = True


def evaluate(segmenter: type, output: Path, *words: object) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    evaluate_composite.add_arguments(parser)
    args = parser.parse_args([*map(str, words), "-o", str(output)])
    assert evaluate_composite.run(args, load=lambda **_: segmenter()) == 0
    about: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    assert about["schema"] == 2 and about["cases"] > 0
    (one,) = about["models"].values()
    return {**about, **one}


def held(names: range, source: str, validation: bool) -> list[str]:
    """Numbers that the rule puts on one side."""
    return [str(n) for n in names if composite_data.picture_held(source, str(n)) == validation]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey animals on black, and three classes of sound."""
    root = tmp_path_factory.mktemp("data")
    coco = root / "images" / "coco_mini"
    coco.mkdir(parents=True)
    entries = []
    chosen = held(range(200), "coco", True)[:4] + held(range(200), "coco", False)[:2]
    for name, animals in zip(chosen, ("dog", "cat", "dog cat", "dog", "dog", "cat")):
        rgb, ids = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.uint8)
        segments = []
        for number, animal in enumerate(animals.split(), 1):
            place = slice(10, 50), slice(40 * number - 30, 40 * number - 30 + 20 + 5 * number)
            rgb[place], ids[place] = GREY[animal], number
            segments.append({"id": number, "category": animal, "iscrowd": 0,
                             "area": int((ids == number).sum())})  # fmt: skip
        cv2.imwrite(str(coco / f"{name}.png"), ids)
        cv2.imwrite(str(coco / f"{name}.jpg"), rgb, [cv2.IMWRITE_JPEG_QUALITY, 100])
        files = {"file": f"{name}.jpg", "png": f"{name}.png"}
        size = {"width": 90, "height": 60}
        entries.append({"image_id": int(name), "kind": "panoptic", "segments": segments,
                        **files, **size})  # fmt: skip
    (coco / "annotations.json").write_text(json.dumps({"images": entries}))
    audio = root / "audio"
    (audio / "esc10").mkdir(parents=True)
    with (audio / "esc10.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["file", "class", "fold"])
        for sound, pitch in PITCH.items():
            for fold in ("1", "4"):
                file = f"esc10/{sound}_{fold}.wav"
                t = np.arange(24000) / 22050
                soundfile.write(audio / file, 0.3 * np.sin(2 * np.pi * pitch * t), 22050)
                table.writerow([file, sound, fold])
    return root


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
    assert len(found["pictures"]) == 4 and found["engine"] == "numpy"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "M_J by class" in page and "http" not in page
    assert "salience_bias" in capsys.readouterr().out


def test_both_of_two_are_asked_with_both_sounds(folder: Path, tmp_path: Path) -> None:
    library = read_library(folder)
    cases = make_cases(library)
    both = [case for case in cases if case.kind == BOTH]
    two = [case for case in cases if case.kind == TWO]
    assert both and 2 * len(both) == len(two)
    for case in both:
        assert case.recording and case.also and case.recording.name in case.name
        assert {case.family, case.other} == {"cat", "dog"}
        spectrum = np.abs(np.fft.rfft(case.sound()))
        loud = {int(i) for i in np.argsort(spectrum)[-2:]}
        assert loud == {int(PITCH["dog_bark"]), int(PITCH["cat"])}
        assert np.sqrt(np.mean(case.sound() ** 2)) == pytest.approx(0.1, rel=0.05)
    (few,) = (case for case in make_cases(library, limit=1) if case.kind == BOTH)
    used = evaluate(Oracle, tmp_path, "--data", folder, "--limit", 1)["sounds"]
    assert {one.name for one in few.recordings} <= set(used) and len(few.recordings) == 2


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
    words = ["--data", str(folder), "-o", str(tmp_path), "--model", "hears", "--model", "deaf.pt"]
    kinds = {"hears": Oracle, "deaf.pt": Deaf}
    args = parser.parse_args(words)
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
    args = parser.parse_args([*words, "--model", "hears"])
    with pytest.raises(ParameterError, match="twice"):
        evaluate_composite.run(args, load=lambda model, **_: kinds[model]())


def answered(number: int, iou: float) -> Answer:
    picture = Picture(f"picture {number}", {"dog": 1.0}, True, lambda: pytest.fail("not asked"))
    case = Case(MATCHED, picture, "dog", Recording("bark", "dog_bark", lambda: np.ones(RATE)))
    return Answer(case, 0.5, ("beagle",), None, "Bark", iou)


def test_intervals_draw_whole_pictures() -> None:
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
    cases = make_cases(read_library(folder))
    # The oracle listens to the whole window: the loudest pitch is there from the first tenth on,
    # and until the window has left it behind.
    found = reaction(Oracle(), cases, PostprocessConfig())
    assert found["onset_answered"] == 1
    assert 0 <= found["onset_delay_s"] <= 0.2 and 0.8 <= found["offset_delay_s"] <= 1.1
    assert reaction(Oracle(), [])["onset_delay_s"] is None


def test_baselines_need_the_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["evaluate", "composite", "-o", str(tmp_path), "--model", "voc21_teacher"]
    assert main([*words, "--limit", "1"]) == 2
    assert "needs --data" in capsys.readouterr().err


def test_the_voc_baseline_marks_what_is_heard(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    model = create_baseline("voc21_teacher", shared / "data", "torch", "cpu")
    library = generated_library()
    cat = library.pictures[0].view()
    meow, speech = library.recordings[0].second(), library.recordings[4].second()
    answer = model.step(cat.rgb, meow, 0)
    assert answer.label == "cat" and [layer.label for layer in answer.layers] == ["cat"]
    assert answer.sounding >= 0.5 and (answer.probability > 0.5).mean() > 0.3
    assert model.step(cat.rgb, speech, 0).sounding == 0
    assert model.step(cat.rgb, np.zeros(RATE, np.float32), 0).layers == ()


def test_the_hard_set_shows_the_same_things(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("skimage")
    library = generated_library(hard=True)
    assert len(library.pictures) == 6
    for picture in library.pictures:
        view = picture.view()
        (family,) = view.masks
        assert 0.01 < view.masks[family].mean() == pytest.approx(picture.shares[family])
        assert view.masks[family].shape == view.rgb.shape[:2]
    small = next(p for p in library.pictures if p.name == "cat, small")
    assert small.shares["cat"] < 0.2
    evaluate(Deaf, tmp_path, "--hard", "--limit", 2)
    assert cv2.imread(str(tmp_path / "worst.jpg")).shape[0] > 100
    assert main(["evaluate", "composite", "--hard", "--data", str(tmp_path)]) == 2
    assert "--hard" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_cases(folder: Path) -> None:
    library = read_library(folder)
    words = [[case.kind + case.name for case in make_cases(library, seed)] for seed in (0, 0, 1)]
    assert words[0] == words[1] != words[2]


def test_no_case_can_be_answered_two_ways(folder: Path) -> None:
    for case in make_cases(read_library(folder, "all")):
        if case.kind == MISMATCHED:
            assert case.recording is not None
            assert not composite_data.makers(case.recording.sound) & case.picture.shares.keys()
        if case.kind == TWO:
            assert case.recording is not None
            makers = composite_data.makers(case.recording.sound)
            assert case.family in makers and case.other not in makers


def test_splits_are_apart_and_are_those_of_the_training(folder: Path) -> None:
    parts = [read_library(folder, split) for split in ("validation", "training")]
    names = [{p.name for p in part.pictures} for part in parts]
    assert len(names[0]) == 4 and len(names[1]) == 2 and not names[0] & names[1]
    for source, percent in (("coco", 25), ("people", 15)):
        for name in map(str, range(300)):
            theirs = training_pictures._held_out(name, percent)
            assert composite_data.picture_held(source, name) == theirs
    rows = [{"file": f"x/siren_{n}-3-0-0.ogg", "fold": str(n % 6)} for n in range(100)]
    for group in composite_data.SOUND_SETS:
        theirs_of = [training_recordings._held_out(group, row) for row in rows]
        assert [composite_data.sound_held(group, row) for row in rows] == theirs_of
        assert any(theirs_of) and not all(theirs_of)


def test_a_limit_leaves_no_class_out(folder: Path) -> None:
    cases = make_cases(read_library(folder, "all"), limit=2)
    assert len(cases) == 10
    for kind in (MATCHED, SILENT, TWO):
        assert {case.family for case in cases if case.kind == kind} == {"cat", "dog"}


def test_the_generated_set_needs_nothing_but_the_package() -> None:
    pytest.importorskip("skimage")
    library = generated_library()
    assert len(library.pictures) == 8 and len(library.recordings) == 6
    for picture in library.pictures:
        view = picture.view()
        (family,) = view.masks
        assert view.masks[family].mean() == pytest.approx(picture.shares[family], abs=0.01)
        assert view.masks[family].shape == view.rgb.shape[:2]
    second = library.recordings[0].second()
    assert second.shape == (RATE,) and np.sqrt(np.mean(second**2)) == pytest.approx(0.1, abs=0.01)
    two = [case for case in make_cases(library) if case.kind == TWO]
    assert two and all(case.second is not None for case in two)


def test_joined_views_keep_their_masks() -> None:
    def view(height: int, width: int) -> View:
        mask = np.zeros((height, width), bool)
        mask[: height // 2] = True
        return View(np.zeros((height, width, 3), np.uint8), {"dog": mask}, ~mask)

    both = join(view(40, 60), view(80, 80))
    assert both.rgb.shape == (40, 100, 3)
    assert both.masks["dog"].mean() == 0.5 and both.unknown.mean() == 0.5


def test_unknown_pixels_are_not_scored() -> None:
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:20] = GREY["dog"]
    own, unknown = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    own[:10], unknown[10:20] = True, True
    bark = np.sin(2 * np.pi * PITCH["dog_bark"] * np.arange(RATE) / RATE).astype(np.float32)
    picture = Picture("p", {"dog": 0.25}, True, lambda: View(rgb, {"dog": own}, unknown))
    case = Case(MATCHED, picture, "dog", Recording("bark", "dog_bark", lambda: bark))
    answer = CompositeBenchmark(Oracle()).ask(case)
    assert answer.iou == 1.0 and answer.marked == 0.5


def test_names_of_every_data_set_are_right() -> None:
    assert names_it(["beagle"], "dog") and names_it(["Bark"], "dog") and names_it(["Cat"], "cat")
    assert names_it(["tabby, tabby cat"], "cat") and not names_it(["tabby"], "dog")
    assert not names_it([], "dog")


def test_silence_and_nothing_to_ask_are_said() -> None:
    silent = Recording("quiet.ogg", "dog", lambda: np.zeros(99, np.float32))
    with pytest.raises(DatasetError, match=r"quiet\.ogg"):
        silent.second()
    with pytest.raises(DatasetError, match="nowhere"):
        make_cases(Library("nowhere", [], []))


def test_bad_input_is_one_sentence_and_leaves_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ["evaluate", "composite", "-o", str(output), "--data"]
    assert main([*words, str(tmp_path)]) == 2
    assert "0 pictures" in capsys.readouterr().err
    assert main([*words, str(folder), "--limit", "-1"]) == 2
    assert "--limit" in capsys.readouterr().err
    assert not output.exists()


def test_the_bundled_model_runs_on_the_generated_set(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    words = ["evaluate", "composite", "-o", str(tmp_path), "--limit", "2", "--engine", "torch"]
    assert main(words) == 0
    about = json.loads((tmp_path / "metrics.json").read_text())
    scores = about["models"]["c3n_light"]["scores"]
    assert scores["m_j"] > 0.3 and scores["silence_empty"] == 1 and scores["two"] == 2
