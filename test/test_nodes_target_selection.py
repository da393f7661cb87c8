"""Choosing what to look at: dwell, hysteresis, hold, priorities, smoothing."""

from __future__ import annotations

import math

import pytest

from avs_ros.conversions.detections import Detection
from avs_ros.errors import ParameterError
from avs_ros.nodes.target_selection import (
    AttentionState,
    RaySmoother,
    SelectionConfig,
    TargetSelector,
    find_again,
)

DRUM = Detection(1, "drum", 0.6, (0.0, 0.0, 10.0, 10.0))
CAT = Detection(2, "cat", 0.5, (50.0, 0.0, 80.0, 30.0))


def louder(detection: Detection, score: float) -> Detection:
    return Detection(detection.index, detection.label, score, detection.box)


class Frames:
    """Feeds a selector ten frames a second."""

    def __init__(self, **config: object) -> None:
        self.selector = TargetSelector(SelectionConfig(**config))  # type: ignore[arg-type]
        self.now = 0.0

    def feed(self, seconds: float, *detections: Detection) -> tuple[str, str]:
        for _ in range(max(1, round(seconds * 10))):
            state, target = self.selector.update(round(self.now * 1e9), detections)
            self.now += 0.1
        return state.value, target.label if target else ""


def test_a_first_target_must_sound_for_the_dwell_time() -> None:
    frames = Frames(dwell=0.5)
    assert frames.feed(0.1) == ("nothing_sounding", "")
    assert frames.feed(0.5, DRUM) == ("acquiring", "")
    assert frames.feed(0.1, DRUM) == ("looking", "drum")
    # A blip elsewhere in between does not count towards the other's dwell.
    frames = Frames(dwell=0.5)
    frames.feed(0.4, DRUM)
    frames.feed(0.1, CAT)
    assert frames.feed(0.3, DRUM) == ("acquiring", "")


def test_an_id_is_followed_wherever_it_goes_if_ids_are_to_be_trusted() -> None:
    gone = Detection(DRUM.index, "drum", 0.5, (200.0, 0.0, 210.0, 10.0))
    here = Detection(7, "drum", 0.5, DRUM.box)
    for use_ids, target in ((True, gone), (False, here)):
        frames = Frames(dwell=0.0, use_ids=use_ids)
        frames.feed(0.1, DRUM)
        assert frames.selector.update(round(frames.now * 1e9), [here, gone])[1] == target
    # Without its id, a target is held and then given up, whatever has come in its place.
    frames = Frames(dwell=0.5, hold=1.0, use_ids=True)
    frames.feed(1.0, DRUM)
    assert frames.feed(0.3, here) == ("holding", "drum")


def test_without_dwell_the_target_is_taken_at_once() -> None:
    assert Frames(dwell=0.0).feed(0.1, DRUM) == ("looking", "drum")


def test_a_better_one_wins_only_if_clearly_better_for_long_enough() -> None:
    frames = Frames(dwell=0.5, hysteresis=0.2)
    frames.feed(1.0, DRUM)
    assert frames.feed(3.0, DRUM, louder(CAT, 0.7)) == ("looking", "drum")  # 17 % better
    assert frames.feed(0.4, DRUM, louder(CAT, 0.9)) == ("looking", "drum")  # not for long
    assert frames.feed(0.1, DRUM) == ("looking", "drum")
    assert frames.feed(0.4, DRUM, louder(CAT, 0.9)) == ("looking", "drum")
    assert frames.feed(0.3, DRUM, louder(CAT, 0.9)) == ("looking", "cat")


def test_a_silent_target_is_held_then_given_up() -> None:
    frames = Frames(dwell=0.2, hold=1.0)
    frames.feed(0.5, DRUM)
    assert frames.feed(0.9) == ("holding", "drum")
    assert frames.feed(0.2, DRUM) == ("looking", "drum")
    assert frames.feed(1.2) == ("nothing_sounding", "")
    # While one is held, another still takes over after its dwell time.
    frames.feed(0.5, DRUM)
    assert frames.feed(0.2, CAT) == ("holding", "drum")
    assert frames.feed(0.3, CAT) == ("looking", "cat")


def test_the_target_is_followed_when_it_moves() -> None:
    frames = Frames(dwell=0.0, hysteresis=5.0)
    for step in range(20):
        moving = Detection(1, "drum", 0.5, (step * 4.0, 0.0, step * 4.0 + 10.0, 10.0))
        assert frames.feed(0.1, moving, CAT) == ("looking", "drum")


def test_largest_and_priority() -> None:
    assert Frames(choose="largest", dwell=0.0).feed(0.1, louder(DRUM, 0.9), CAT)[1] == "cat"
    order = Frames(
        choose="label_priority", label_priority=("cat", "drum"), dwell=0.0, hysteresis=0.2)
    assert order.feed(0.1, louder(DRUM, 0.99), louder(CAT, 0.31)) == ("looking", "cat")
    unlisted = Detection(3, "horn", 1.0, (90.0, 0.0, 99.0, 9.0))
    assert order.feed(1.0, unlisted, CAT)[1] == "cat"
    assert Frames(choose="label_priority", label_priority=("cat",), dwell=0.0).feed(
        0.1, unlisted) == ("looking", "horn")
    only = Frames(label_priority=("cat",), only_listed_labels=True, dwell=0.0)
    assert only.feed(1.0, unlisted, DRUM) == ("nothing_sounding", "")


def test_weak_or_broken_detections_are_not_looked_at() -> None:
    frames = Frames(dwell=0.0, min_score=0.3)
    assert frames.feed(0.1, louder(DRUM, 0.29)) == ("nothing_sounding", "")
    assert frames.feed(0.1, louder(DRUM, math.nan)) == ("nothing_sounding", "")
    nowhere = Detection(1, "drum", 0.9, (math.nan, 0.0, 1.0, 1.0))
    assert frames.feed(0.1, nowhere) == ("nothing_sounding", "")


def test_time_that_jumps_back_starts_anew() -> None:
    frames = Frames(dwell=0.5)
    frames.feed(1.0, DRUM)
    frames.now = 0.0
    assert frames.feed(0.1, DRUM) == ("acquiring", "")


def test_priority_without_a_list_is_refused() -> None:
    for config in ({"choose": "label_priority"}, {"only_listed_labels": True}):
        with pytest.raises(ParameterError, match="label_priority"):
            SelectionConfig(**config)  # type: ignore[arg-type]


def test_the_same_thing_is_found_again() -> None:
    shifted = Detection(9, "drum", 0.1, (5.0, 0.0, 15.0, 10.0))
    relabelled = Detection(9, "bucket", 0.1, (1.0, 0.0, 11.0, 10.0))
    assert find_again(DRUM, [CAT, shifted]) is shifted
    assert find_again(DRUM, [CAT, relabelled]) is relabelled
    assert find_again(DRUM, [CAT, Detection(9, "bucket", 0.1, (5.0, 0.0, 15.0, 10.0))]) is None
    assert find_again(DRUM, []) is None
    assert AttentionState("holding") is AttentionState.HOLDING


def test_rays_are_smoothed_with_the_time_constant() -> None:
    smoother = RaySmoother(0.5)
    ahead, right = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
    assert smoother.smooth(0, ahead) == ahead
    x, _, z = smoother.smooth(500_000_000, right)
    share = 1 - math.exp(-1)
    assert x / z == pytest.approx(share / (1 - share))
    assert math.hypot(x, z) == pytest.approx(1.0)
    smoother.reset()
    assert smoother.smooth(600_000_000, ahead) == ahead
    assert RaySmoother(0.0).smooth(1, right) == right
