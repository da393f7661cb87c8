"""Things found one by one, and whether they keep their numbers: figures of known answers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from grey_animals import GREY, Deaf, Oracle, animals_folder

from avs_ros.cli.evaluate_scenes import one_by_one
from avs_ros.evaluation.composite_data import image_held
from avs_ros.evaluation.identity import (
    SEQUENCE_FPS,
    MarkedIdentity,
    Photograph,
    Precision,
    follow,
    photographs,
    precision,
    sequences,
)
from avs_ros.evaluation.two_of_a_kind import told_apart, touching
from avs_ros.postprocess import PostprocessConfig
from avs_ros.segmentation import Instance, Layer, Prediction, Segmentation

SIDE = 40


def square(x: int, y: int = 10, side: int = 10) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def layer(mask: np.ndarray, label: str, score: float, index: int = 0) -> Layer:
    return Layer(mask.astype(np.float32), label, score, index)


class Told:
    """Says what it is told to, frame by frame."""

    def __init__(self, *answers: tuple[Layer, ...]) -> None:
        self.answers = list(answers)
        self.now: tuple[Layer, ...] = ()

    def reset(self) -> None:
        pass

    def step(self, frame: np.ndarray, window: np.ndarray, stamp_ns: int) -> Prediction:
        self.now = self.answers.pop(0)
        return Prediction(np.zeros((4, 4), np.float32), 0.0, "", -1, "", 0.0)

    def in_sight(self) -> tuple[Layer, ...]:
        return self.now


def photograph(*things: tuple[str, np.ndarray], crowds: tuple = ()) -> Photograph:
    return Photograph(np.zeros((SIDE, SIDE, 3), np.uint8), list(things), list(crowds))


# --- AP50


def test_all_found_is_one_and_a_false_one_before_them_costs() -> None:
    truth = photograph(("dog", square(0)), ("dog", square(20)))
    both = (layer(square(0), "dog", 0.9), layer(square(21), "dog", 0.8))
    assert precision(Told(both), iter([truth])).of("dog") == 1.0
    # The false one is last: it costs nothing. First: precision is 2/3 from there on.
    last = (*both, layer(square(10, 25), "dog", 0.1))
    assert precision(Told(last), iter([truth])).of("dog") == 1.0
    first = (*both, layer(square(10, 25), "dog", 0.95))
    assert precision(Told(first), iter([truth])).of("dog") == pytest.approx(2 / 3)


def test_one_mask_over_two_a_second_on_the_same_and_another_name_find_nothing() -> None:
    truth = photograph(("dog", square(0)), ("dog", square(10)), ("cat", square(25)))
    one = (layer(square(0) | square(10), "dog", 0.9), layer(square(25), "dog", 0.5))
    found = precision(Told(one), iter([truth]))
    # Half of each other: the mask of two fits one of them; the rest is wrong.
    assert found.of("dog") == pytest.approx(51 / 101)
    assert found.of("cat") == 0.0 and found.mean() == pytest.approx(51 / 202)
    twice = (layer(square(0), "dog", 0.9), layer(square(0), "dog", 0.8))
    assert precision(Told(twice), iter([truth])).of("dog") == pytest.approx(51 / 101)


def test_what_lies_in_a_crowd_counts_neither_way() -> None:
    truth = photograph(("dog", square(0)), crowds=(("dog", square(20, 0, 20)),))
    seen = (layer(square(22, 2), "dog", 0.9), layer(square(0), "dog", 0.8))
    assert precision(Told(seen), iter([truth])).of("dog") == 1.0
    assert Precision().mean() != Precision().mean()  # NaN: nothing is shown


def test_photographs_are_the_held_out_ones_one_thing_at_a_time(tmp_path: Path) -> None:
    root = tmp_path / "images" / "coco_mini"
    root.mkdir(parents=True)
    names = [str(number) for number in range(60)]
    held = next(name for name in names if image_held("coco", name))
    other = next(name for name in names if not image_held("coco", name))
    ids = np.zeros((SIDE, SIDE), np.uint8)
    ids[square(0)], ids[square(20)], ids[square(30, 30)] = 1, 2, 3
    entries = []
    for name in (held, other):
        cv2.imwrite(str(root / f"{name}.jpg"), np.zeros((SIDE, SIDE, 3), np.uint8))
        cv2.imwrite(str(root / f"{name}.png"), ids)
        segments = [{"id": k, "category": c, "iscrowd": k == 2}
                    for k, c in ((1, "person"), (2, "person"), (3, "bowl"))]  # fmt: skip
        entries.append({"image_id": int(name), "file": f"{name}.jpg", "png": f"{name}.png",
                        "segments": segments})  # fmt: skip
    (root / "annotations.json").write_text(json.dumps({"images": entries}))
    (one,) = photographs(tmp_path)
    assert [name for name, _ in one.things] == [name for name, _ in one.crowds] == ["person"]
    assert (one.things[0][1] == square(0)).all() and (one.crowds[0][1] == square(20)).all()


# --- numbers


def test_a_number_that_still_fits_stands_and_another_is_a_switch(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "davis" / "dog"
    folder.mkdir(parents=True)
    for frame in range(4):
        cv2.imwrite(str(folder / f"{frame}.jpg"), np.zeros((SIDE, SIDE, 3), np.uint8))
        cv2.imwrite(str(folder / f"{frame}.png"), square(0).astype(np.uint8) * 255)
    near, exact = square(2), square(0)
    told = Told(
        (layer(near, "dog", 0.9, 3),),
        (layer(near, "dog", 0.9, 3), layer(exact, "dog", 0.9, 4)),  # 3 still fits
        (),
        (layer(exact, "dog", 0.9, 4), layer(exact, "dog", 0.1, 0)),
    )
    found = follow(told, sequences(tmp_path))
    assert (found.switches, found.followed) == (1, 0.75)
    assert found.per_minute == pytest.approx(60 * SEQUENCE_FPS / 3)


def answer(stamp_s: float, *marks: tuple[int, np.ndarray]) -> Segmentation:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for index, mask in marks:
        labels[mask] = index
    instances = tuple(Instance(index, "dog", 0.9, (0, 0, 9, 9), 100) for index, _ in marks)
    return Segmentation(
        round(stamp_s * 1e9), SIDE, SIDE, True, 0.9, "dog", "", 0.0, instances, None, 0.1,
        (labels > 0).astype(np.float32), labels,
    )  # fmt: skip


def test_switches_of_marks_are_counted_while_they_go_on() -> None:
    left, right = square(0), square(20)
    counter = MarkedIdentity()
    counter.begin()
    for second, marks in enumerate((
        ((1, left), (2, right)), ((2, left), (1, right)), (), ((5, left),), ((5, square(2)),),
    )):  # fmt: skip
        counter.add(answer(second, *marks))
    assert (counter.found.switches, counter.found.seconds) == (2, 3.0)
    counter.begin()
    counter.add(answer(9, (7, left)))
    assert counter.found.switches == 2


# --- two of a kind


def test_instances_belong_to_the_side_on_which_most_of_them_lies() -> None:
    true = square(2) | square(26)
    apart, spilled, one = (np.zeros((SIDE, SIDE), np.uint8) for _ in range(3))
    apart[square(2)[:, ::1]], apart[square(26)] = 4, 9
    apart[10:15, 2:12] = 5  # a photograph may show several
    assert told_apart(apart, true, 20)
    spilled[true], spilled[square(26)], spilled[:, 4:20] = 4, 9, 9
    assert not told_apart(spilled, true, 20)
    one[true] = 1
    assert not told_apart(one, true, 20)
    assert not told_apart(np.zeros((SIDE, SIDE), np.uint8), true, 20)


def test_things_touch_when_they_meet_at_the_seam() -> None:
    assert touching(square(10) | square(20), 20)
    assert not touching(square(10) | square(22), 20)
    assert not touching(square(10, 0) | square(20, 25), 20)


# --- the command


class Seer(Oracle):
    """Tells its animals apart by their grey, and follows them."""

    def step(self, frame: np.ndarray, window: np.ndarray, stamp_ns: int) -> Prediction:
        found = [
            layer(np.abs(frame.mean(axis=2) - grey) < 30, name, 0.9, index)
            for index, (name, grey) in enumerate(GREY.items(), 1)
        ]
        # The edges of a white dog are as grey as a cat.
        self.sight = tuple(one for one in found if one.probability.mean() > 0.03)
        return super().step(frame, window, stamp_ns)

    def in_sight(self) -> tuple[Layer, ...]:
        return self.sight


def test_the_command_prints_what_is_told_apart_found_and_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = animals_folder(tmp_path)
    sequence = data / "images" / "davis" / "dog"
    sequence.mkdir(parents=True)
    for frame in range(3):
        rgb, mask = np.zeros((60, 90, 3), np.uint8), np.zeros((60, 90), np.uint8)
        rgb[10:50, 10 + frame : 40 + frame], mask[10:50, 10 + frame : 40 + frame] = GREY["dog"], 1
        cv2.imwrite(str(sequence / f"{frame}.jpg"), rgb, [cv2.IMWRITE_JPEG_QUALITY, 100])
        cv2.imwrite(str(sequence / f"{frame}.png"), mask * 255)
    models = {"seer": Seer, "deaf": Deaf}
    one_by_one(list(models), lambda name: models[name](), data, PostprocessConfig())
    shown = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    told, photographs_of, found, followed = (
        next(i for i, line in enumerate(shown) if line[0] == head)
        for head in ("two", "photographs,", "dog", "sequences")
    )
    # Two dogs, and no sound but theirs: marked in one piece of grey by each model.
    assert shown[told + 1][:4] == ["seer", "12", "1.000", "1.000"]
    assert shown[told + 2][0] == "deaf"
    assert shown[photographs_of + 1] == ["seer", "5", "1.000"]
    assert shown[found] == ["dog", "3", "1.000"]
    # The other model does not tell what is in sight.
    assert shown[followed + 1 :] == [["seer", "1.000", "0", "0.00"]]
