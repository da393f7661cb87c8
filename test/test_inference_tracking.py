"""Things keep their number, name and outline from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest
from without import run_without

from avs_ros.inference import tracking
from avs_ros.inference.instance_masks import OUTSIDE, SIDE
from avs_ros.inference.potential_objects import PotentialObject
from avs_ros.inference.tracking import InstanceTracker, Tracked, moved

FPS = 20
DOG, CAT = 0, 1


def thing(x: float, score: float = 0.8, category: int = DOG, y: float = 0.3) -> PotentialObject:
    """0.2 wide and 0.3 high, from ``x``, ``y`` on."""
    likely = np.zeros(3, np.float32)
    likely[category] = score
    box = np.array([x, y, x + 0.2, y + 0.3], np.float32)
    return PotentialObject(box, likely, np.zeros(3, np.int64))


class Film:
    """Feeds a tracker frame by frame; :meth:`show` returns the things' numbers."""

    def __init__(self) -> None:
        self.tracker = InstanceTracker()
        self.frame = 0

    def show(self, *things: PotentialObject, after: int = 1) -> list[int]:
        self.frame += after
        found = self.tracker(self.frame * 1_000_000_000 // FPS, things)
        return [0 if one is None else one.index for one in found]


def test_a_moving_pair_keeps_its_numbers_whoever_comes_first() -> None:
    film = Film()
    first = film.show(thing(0.1), thing(0.6))
    assert sorted(first) == [1, 2]
    for step in range(1, 20):
        pair = [thing(0.1 + 0.01 * step, 0.8), thing(0.6 - 0.005 * step, 0.7 + 0.01 * step)]
        if step % 2:
            assert film.show(*pair) == first
        else:
            assert film.show(*pair[::-1]) == first[::-1]


def test_a_newcomer_has_its_number_from_its_first_frame_on() -> None:
    film = Film()
    for _ in range(3):
        film.show(thing(0.1))
    assert film.show(thing(0.1), thing(0.6)) == film.show(thing(0.1), thing(0.6)) == [1, 2]


def test_a_short_occlusion_is_bridged_and_a_long_one_is_not() -> None:
    film = Film()
    film.show(thing(0.1), thing(0.6))
    for step in range(5):
        film.show(thing(0.1 + 0.005 * step), thing(0.6))
    for _ in range(FPS // 2):
        assert film.show(thing(0.6)) == [2]
    assert film.show(thing(0.15), thing(0.6)) == [1, 2]
    for _ in range(3 * FPS):
        film.show(thing(0.6))
    assert film.show(thing(0.15), thing(0.6)) == [3, 2]


def test_numbers_begin_anew_after_a_reset_and_a_jump_of_time() -> None:
    film = Film()
    film.show(thing(0.1), thing(0.6))
    film.show(thing(0.6))
    film.tracker.reset()
    assert film.show(thing(0.6)) == [1]
    film.show(thing(0.6), thing(0.1))
    assert film.show(thing(0.1), after=3 * FPS) == [1]
    assert film.show(thing(0.6), after=-30) == [1]


def test_what_is_unlikely_goes_on_but_does_not_begin() -> None:
    film = Film()
    assert film.show(thing(0.1), thing(0.6, score=tracking.NEW - 0.05)) == [1, 0]
    assert film.show(thing(0.1, score=tracking.NEW - 0.05)) == [1]
    assert film.show() == []


def test_numbers_stay_below_255_and_are_not_given_twice() -> None:
    film = Film()
    stays = film.show(thing(0.6))
    for step in range(300):
        found = film.show(thing(0.6), thing(0.1, y=0.6 * (step % 2)), after=3)
        assert found[0] == stays[0]
        assert found[1] != found[0] and 1 <= found[1] <= 254


def test_a_name_changes_when_it_is_said_again() -> None:
    film = Film()
    for _ in range(5):
        film.show(thing(0.1, category=DOG))
    tracked = film.tracker(film.frame * 1_000_000_000 // FPS + 50_000_000,
                           [thing(0.1, category=CAT)])[0]  # fmt: skip
    assert tracked is not None and tracked.likely[DOG] > tracked.likely[CAT]
    film.frame += 1
    for _ in range(8):
        film.show(thing(0.1, category=CAT))
    assert tracked.likely[CAT] > tracked.likely[DOG]


def mask_of(box: tuple[float, ...], level: float = 3.0) -> np.ndarray:
    mask = np.full((SIDE, SIDE), OUTSIDE, np.float32)
    x0, y0, x1, y1 = (round(edge * SIDE) for edge in box)
    mask[y0:y1, x0:x1] = level
    return mask


def test_a_past_outline_moves_and_grows_with_its_box() -> None:
    before, now = (0.25, 0.25, 0.5, 0.5), (0.5, 0.375, 1.0, 0.875)
    shown = moved(mask_of(before), np.array(before), np.array(now)) > 0
    true = mask_of(now) > 0
    assert (shown & true).sum() / (shown | true).sum() > 0.95


def test_an_outline_does_not_flicker_and_forgets() -> None:
    box = np.array([0.25, 0.25, 0.75, 0.75], np.float32)
    one = Tracked(1, box, np.zeros(1, np.float32))
    sure, unsure = mask_of(tuple(box), 3.0), mask_of(tuple(box), -1.0)
    step = 1_000_000_000 // FPS
    assert (one.outlined(sure, 0) > 0).mean() == pytest.approx(0.25)
    assert (one.outlined(unsure, step) > 0).mean() == pytest.approx(0.25, abs=0.01)
    for frame in range(2, 12):
        last = one.outlined(unsure, frame * step)
    assert not (last > 0).any()
    # After a second it is seen afresh.
    one.outlined(sure, 12 * step)
    assert np.array_equal(one.outlined(unsure, 12 * step + 1_000_000_000), unsure)


def test_without_the_library_it_says_what_to_install() -> None:
    told = run_without(
        ("supervision",),
        "from avs_ros.errors import MissingDependencyError\n"
        "from avs_ros.inference import create_segmenter\n"
        "try:\n    create_segmenter('avsc_light', 'torch', 'cpu')\n"
        "except MissingDependencyError as error:\n    print(error)",
    )
    assert told.returncode == 0, told.stderr
    assert "supervision, which is not installed: pip install" in told.stdout
