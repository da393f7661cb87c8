"""avsc_light: everything that could sound first, followed; then the sound chooses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mask_filters import everywhere

from avs_ros.cli.run_folder import to_record
from avs_ros.evaluation.scenes import Shot, judge, shots
from avs_ros.gate import GateConfig
from avs_ros.inference import create_segmenter
from avs_ros.inference.avsc_light import Found, InstanceSegmenter, choose
from avs_ros.inference.potential_objects import PotentialObject, gathered, read_objects
from avs_ros.inference.tracking import Tracked
from avs_ros.postprocess import Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.sound import SAMPLE_RATE, level_dbfs
from avs_ros.streaming.inputs import Frame, Pair

# One worker opens the model and draws the scenes.
pytestmark = pytest.mark.xdist_group("avsc_light")

FPS = 20
DOG, CAT, CAR = 0, 1, 2


# --- what could sound


def test_one_thing_under_two_names_is_one_instance_that_knows_both() -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.11, 0.1, 0.5, 0.52], [0.6, 0.1, 0.9, 0.5]])
    likely = np.array([[0.6, 0.1, 0], [0.2, 0.5, 0], [0.7, 0, 0]])
    found = gathered(boxes.astype(np.float32), likely.astype(np.float32))
    assert [one.category for one in found] == [DOG, DOG]
    far, both = found
    assert both.likely.tolist() == pytest.approx([0.6, 0.5, 0])
    assert both.anchors.tolist() == [0, 1] and far.box[0] == pytest.approx(0.6)
    # Where it is, both say, the likelier one louder.
    assert both.box[3] == pytest.approx((0.6 * 0.5 + 0.5 * 0.52) / 1.1)


def outputs(objects: list[tuple[int, float, tuple[float, ...]]]) -> dict[str, Any]:
    """The network's, in which exactly these (class, score, box) are detected."""
    count = max(len(objects), 1)
    classes = np.full((1, count, 4), -12.0, np.float32)
    boxes = np.zeros((1, count, 4), np.float32)
    for i, (row, score, box) in enumerate(objects):
        classes[0, i, row] = np.log(score / (1 - score))
        boxes[0, i] = box
    return {
        "boxes": boxes, "objectness": np.full((1, count), 12.0, np.float32), "classes": classes,
        "filters": everywhere(count), "features": np.zeros((1, 2, 13, 13), np.float32),
    }  # fmt: skip


def test_boxes_are_of_the_image_and_masks_lie_in_them() -> None:
    classes = [[0], [1, 2], []]
    # The image takes the left half of the square.
    found = read_objects(outputs([(2, 0.8, (0.1, 0.2, 0.3, 0.6))]), classes, (0.5, 1.0))
    (one,) = found.objects
    assert one.category == 1 and one.box.tolist() == pytest.approx([0.2, 0.2, 0.6, 0.6])
    rows, columns = np.nonzero(found.mask(one, 1) > 0)
    assert (columns.min() / 104, rows.max() / 104) == pytest.approx((0.2, 0.6), abs=0.03)
    assert read_objects(outputs([]), classes).objects == []


# --- which of it sounds


def known(index: int, *likely: float) -> Found:
    box, chances = np.array([0.0, 0.0, 0.1, 0.1], np.float32), np.array(likely, np.float32)
    one = PotentialObject(box, chances, np.zeros(3, np.int64))
    return Found(one, Tracked(index, box, chances))


def test_every_likely_instance_of_what_sounds_is_chosen_once() -> None:
    found = [known(1, 0.9, 0, 0), known(2, 0.6, 0.1, 0), known(3, 0.3, 0, 0),
             known(4, 0.5, 0.8, 0), known(5, 0, 0, 0.9)]  # fmt: skip
    sounds, score = np.array([True, True, False]), np.array([0.9, 0.7, 0.2], np.float32)
    chosen = [(one.known.index, k) for one, k in choose(found, score, sounds)]
    # The third is much less likely a dog than the first; the fourth is rather a cat.
    assert chosen == [(1, DOG), (2, DOG), (4, CAT)]
    assert choose(found, score, np.zeros(3, bool)) == []
    assert choose([], score, sounds) == []


# --- with the shipped weights


@pytest.fixture(scope="module")
def model() -> Iterator[InstanceSegmenter]:
    made = create_segmenter("avsc_light", engine="torch", device="cpu", threads=1)
    assert isinstance(made, InstanceSegmenter)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scenes() -> dict[str, Shot]:
    pytest.importorskip("skimage.data")
    return {shot.name: shot for shot in shots()}


class Film:
    """Frames with one and the same sound, through model and post-processing."""

    def __init__(self, model: InstanceSegmenter, window: np.ndarray) -> None:
        self.model, self.window, self.frame = model, window, 0
        self.post = Postprocessor()
        model.reset()

    def show(self, rgb: np.ndarray) -> Segmentation:
        stamp_ns = self.frame * 1_000_000_000 // FPS
        self.frame += 1
        prediction = self.model.step(rgb, self.window, stamp_ns)
        pair = Pair(
            Frame.of(stamp_ns, rgb), self.window, 1.0, True, level_dbfs(self.window), 0.0
        )
        return self.post.process(prediction, pair)


def sides(answer: Segmentation) -> dict[str, int]:
    """The largest instance's number on either side."""
    middle = answer.width / 2
    found = {"left": 0, "right": 0}
    for one in sorted(answer.instances, key=lambda one: one.area_px):
        found["left" if sum(one.box[::2]) / 2 < middle else "right"] = one.index
    return found


def test_two_of_a_kind_are_apart_and_keep_their_numbers_as_they_move(
    model: InstanceSegmenter, scenes: dict[str, Shot]
) -> None:
    shot = scenes["two people, speech"]
    film = Film(model, shot.window)
    first = film.show(shot.view.rgb)
    numbers = sides(first)
    assert all(numbers.values()) and numbers["left"] != numbers["right"]
    verdict = judge(first, shot)
    assert verdict.iou is not None and verdict.iou > 0.5
    assert {one["id"] for one in to_record(first, 0, 0.0)["instances"]} >= set(numbers.values())
    assert set(numbers.values()) <= set(np.unique(first.label_mask()).tolist())
    for step in range(1, 6):
        assert sides(film.show(np.roll(shot.view.rgb, 3 * step, axis=1))) == numbers


def test_a_thing_has_its_number_again_after_something_stood_before_it(
    model: InstanceSegmenter, scenes: dict[str, Shot]
) -> None:
    shot = scenes["two people, speech"]
    film = Film(model, shot.window)
    film.show(shot.view.rgb)
    numbers = sides(film.show(shot.view.rgb))
    hidden = shot.view.rgb.copy()
    hidden[:, : hidden.shape[1] // 2] = 128
    for _ in range(4):
        assert sides(film.show(hidden)) == {"left": 0, "right": numbers["right"]}
    assert sides(film.show(shot.view.rgb)) == numbers
    model.reset()
    assert {one.index for one in Film(model, shot.window).show(hidden).instances} == {1}


def test_in_sight_is_what_could_sound_whatever_is_heard(
    model: InstanceSegmenter, scenes: dict[str, Shot]
) -> None:
    shot = scenes["cat-and-person, silence"]
    film = Film(model, shot.window)
    assert model.in_sight() == ()
    assert not film.show(shot.view.rgb).sounding
    likely = [one for one in model.in_sight() if one.score > 0.3]
    assert len(likely) >= 2 and "person" in {one.label for one in likely}
    assert len({one.index for one in likely} - {0}) == len(likely)


def test_frames_share_what_is_heard_and_each_has_its_own_masks(scenes: dict[str, Shot]) -> None:
    """The audio networks run every half second, the detector at every frame."""
    made: Any = create_segmenter(
        "avsc_light", engine="torch", device="cpu", threads=1,
        gate=GateConfig(audio_period=0.5, context=0.0),
    )  # fmt: skip
    meow, speech = scenes["cat-and-person, meow"], scenes["cat-and-person, speech"]
    answers = []
    for step in range(12):
        # The sound changes at once; it is heard at the next turn of the audio networks.
        window = meow.window if step == 0 else speech.window
        frame = np.roll(meow.view.rgb, 5 * step, axis=1)
        answers.append(made.step(frame, window, step * 1_000_000_000 // FPS))
    assert made.audio_runs == 2
    assert {answer.audio_score for answer in answers[:10]} == {answers[0].audio_score}
    assert {answer.label for answer in answers[:10]} == {"cat"} != {answers[10].label}
    columns = [float(np.nonzero(answer.probability > 0.5)[1].mean()) for answer in answers[:10]]
    assert columns[9] - columns[0] > 2 and columns[5] > columns[0]
    made.close()


def test_the_sound_that_nothing_in_sight_makes_marks_nothing(
    model: InstanceSegmenter, scenes: dict[str, Shot]
) -> None:
    for name in ("cat, speech", "cat-and-person, noise", "cat-and-person, silence"):
        film = Film(model, scenes[name].window)
        answer = film.show(scenes[name].view.rgb)
        assert not answer.instances and answer.score < 0.5
    loud = np.zeros(SAMPLE_RATE, np.float32)
    assert model.step(np.zeros((48, 64, 3), np.uint8), loud, 10**12).layers == ()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_other_engines_say_the_same(
    model: InstanceSegmenter, scenes: dict[str, Shot], engine: str
) -> None:
    pytest.importorskip(engine)
    pytest.importorskip("onnx")
    shot = scenes["two people, speech"]
    other: Any = create_segmenter("avsc_light", engine=engine, device="cpu", threads=1)
    ours, theirs = (Film(one, shot.window).show(shot.view.rgb) for one in (model, other))
    other.close()
    assert other.engine == engine
    assert [one.index for one in ours.instances] == [one.index for one in theirs.instances]
    assert ours.score == pytest.approx(theirs.score, abs=1e-3)
    assert float(np.abs(ours.probability_map - theirs.probability_map).mean()) < 1e-3


def test_what_was_marked_stays_on_less_than_what_is_new_needs() -> None:
    box = np.array([0.1, 0.1, 0.5, 0.5], np.float32)

    def found(index: int, likely: float) -> Found:
        known = np.array([likely], np.float32)
        return Found(PotentialObject(box, known, np.array([0])), Tracked(index, box, known))

    score, sounds = np.array([0.9], np.float32), np.array([True])
    both = [found(1, 0.9), found(2, 0.4)]  # less than half as likely
    assert [one.known.index for one, _ in choose(both, score, sounds)] == [1]
    assert [one.known.index for one, _ in choose(both, score, sounds, {1, 2})] == [1, 2]
    assert len(choose([found(1, 0.9), found(2, 0.2)], score, sounds, {1, 2})) == 1
