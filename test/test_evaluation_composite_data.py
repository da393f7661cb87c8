"""What the composite benchmark asks: its cases, splits, names, and the generated set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from grey_animals import GREY, PITCH, RATE, Deaf, Oracle, animals_folder, evaluate

from avs_ros.cli.main import main
from avs_ros.errors import DatasetError
from avs_ros.evaluation import composite_data
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
from avs_ros.evaluation.composite_benchmark import CompositeBenchmark
from avs_ros.evaluation.composite_data import (
    CompositeDataset,
    LabelledImage,
    LabelledSound,
    View,
    read_dataset,
)
from avs_ros.evaluation.composite_generated import generated_dataset
from avs_ros.evaluation.label_sets import names_it
from recipes.c3n_light import images as training_images
from recipes.c3n_light import recordings as training_recordings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animals_folder(tmp_path_factory.mktemp("data"))


def test_both_of_two_are_asked_with_both_sounds(folder: Path, tmp_path: Path) -> None:
    dataset = read_dataset(folder)
    cases = make_cases(dataset)
    both = [case for case in cases if case.kind == BOTH]
    two = [case for case in cases if case.kind == TWO]
    assert both and 2 * len(both) == len(two)
    for case in both:
        assert case.recording and case.also and case.recording.name in case.name
        assert {case.category, case.other} == {"cat", "dog"}
        spectrum = np.abs(np.fft.rfft(case.sound()))
        loud = {int(i) for i in np.argsort(spectrum)[-2:]}
        assert loud == {int(PITCH["dog_bark"]), int(PITCH["cat"])}
        assert np.sqrt(np.mean(case.sound() ** 2)) == pytest.approx(0.1, rel=0.05)
    (few,) = (case for case in make_cases(dataset, limit=1) if case.kind == BOTH)
    used = evaluate(Oracle, tmp_path, "--data", folder, "--limit", 1)["sounds"]
    assert {one.name for one in few.recordings} <= set(used) and len(few.recordings) == 2


def test_the_hard_set_shows_the_same_things(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("skimage")
    dataset = generated_dataset(hard=True)
    assert len(dataset.images) == 6
    for image in dataset.images:
        view = image.view()
        (category,) = view.masks
        assert 0.01 < view.masks[category].mean() == pytest.approx(image.shares[category])
        assert view.masks[category].shape == view.rgb.shape[:2]
    small = next(p for p in dataset.images if p.name == "cat, small")
    assert small.shares["cat"] < 0.2
    evaluate(Deaf, tmp_path, "--hard", "--limit", 2)
    assert cv2.imread(str(tmp_path / "worst.jpg")).shape[0] > 100
    assert main(["evaluate", "composite", "--hard", "--data", str(tmp_path)]) == 2
    assert "--hard" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_cases(folder: Path) -> None:
    dataset = read_dataset(folder)
    arguments = [
        [case.kind + case.name for case in make_cases(dataset, seed)] for seed in (0, 0, 1)
    ]
    assert arguments[0] == arguments[1] != arguments[2]


def test_no_case_can_be_answered_two_ways(folder: Path) -> None:
    for case in make_cases(read_dataset(folder, "all")):
        if case.kind == MISMATCHED:
            assert case.recording is not None
            assert not composite_data.makers(case.recording.sound) & case.image.shares.keys()
        if case.kind == TWO:
            assert case.recording is not None
            makers = composite_data.makers(case.recording.sound)
            assert case.category in makers and case.other not in makers


def test_splits_are_apart_and_are_those_of_the_training(folder: Path) -> None:
    parts = [read_dataset(folder, split) for split in ("validation", "training")]
    names = [{p.name for p in part.images} for part in parts]
    assert len(names[0]) == 4 and len(names[1]) == 2 and not names[0] & names[1]
    for source, percent in (("coco", 25), ("people", 15)):
        for name in map(str, range(300)):
            theirs = training_images._held_out(name, percent)
            assert composite_data.image_held(source, name) == theirs
    rows = [{"file": f"x/siren_{n}-3-0-0.ogg", "fold": str(n % 6)} for n in range(100)]
    for group in composite_data.SOUND_SETS:
        theirs_of = [training_recordings.is_held_out(group, row) for row in rows]
        assert [composite_data.sound_held(group, row) for row in rows] == theirs_of
        assert any(theirs_of) and not all(theirs_of)


def test_a_limit_leaves_no_class_out(folder: Path) -> None:
    cases = make_cases(read_dataset(folder, "all"), limit=2)
    assert len(cases) == 10
    for kind in (MATCHED, SILENT, TWO):
        assert {case.category for case in cases if case.kind == kind} == {"cat", "dog"}


def test_the_generated_set_needs_nothing_but_the_package() -> None:
    pytest.importorskip("skimage")
    dataset = generated_dataset()
    assert len(dataset.images) == 8 and len(dataset.recordings) == 6
    for image in dataset.images:
        view = image.view()
        (category,) = view.masks
        assert view.masks[category].mean() == pytest.approx(image.shares[category], abs=0.01)
        assert view.masks[category].shape == view.rgb.shape[:2]
    second = dataset.recordings[0].second()
    assert second.shape == (RATE,) and np.sqrt(np.mean(second**2)) == pytest.approx(0.1, abs=0.01)
    two = [case for case in make_cases(dataset) if case.kind == TWO]
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
    image = LabelledImage("p", {"dog": 0.25}, True, lambda: View(rgb, {"dog": own}, unknown))
    case = Case(MATCHED, image, "dog", LabelledSound("bark", "dog_bark", lambda: bark))
    answer = CompositeBenchmark(Oracle()).ask(case)
    assert answer.iou == 1.0 and answer.marked == 0.5


def test_names_of_every_data_set_are_right() -> None:
    assert names_it(["beagle"], "dog") and names_it(["Bark"], "dog") and names_it(["Cat"], "cat")
    assert names_it(["tabby, tabby cat"], "cat") and not names_it(["tabby"], "dog")
    assert not names_it([], "dog")


def test_silence_and_nothing_to_ask_are_said() -> None:
    silent = LabelledSound("quiet.ogg", "dog", lambda: np.zeros(99, np.float32))
    with pytest.raises(DatasetError, match=r"quiet\.ogg"):
        silent.second()
    with pytest.raises(DatasetError, match="nowhere"):
        make_cases(CompositeDataset("nowhere", [], []))
