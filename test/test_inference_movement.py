"""Of several things of one name, what moves: told, and told only where it can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from cat_scenes import meow, two_cats

from avs_ros.gate import GateConfig
from avs_ros.inference import create_segmenter
from avs_ros.inference.instance_masks import SIDE
from avs_ros.inference.movement import Movement
from avs_ros.segmentation import Layer
from avs_ros.sound import SAMPLE_RATE

SECOND = 10**9
WIDTH, HEIGHT = 320, 240
# Boxes of three things, shares of the image.
LEFT, RIGHT, SMALL = (0.1, 0.3, 0.4, 0.8), (0.6, 0.3, 0.9, 0.8), (0.48, 0.05, 0.52, 0.1)


def scenery() -> Any:
    noise = np.random.default_rng(3).integers(0, 255, (30, 50, 3)).astype(np.uint8)
    return cv2.resize(noise, (WIDTH + 100, HEIGHT + 60), interpolation=cv2.INTER_CUBIC)


def film(
    moves: dict[Any, float], *, fps: float = 10.0, seconds: float = 2.0, pan: float = 0.0
) -> Movement:
    """What was seen: each box lights up and darkens by so much; the camera pans by px a frame."""
    movement = Movement()
    for number in range(round(seconds * fps)):
        at = round(pan * number) % 100
        frame = scenery()[30 : 30 + HEIGHT, at : at + WIDTH].astype(np.float32)
        for (x0, y0, x1, y1), by in moves.items():
            part = frame[int(y0 * HEIGHT) : int(y1 * HEIGHT), int(x0 * WIDTH) : int(x1 * WIDTH)]
            part += by * np.sin(2 * np.pi * 1.3 * number / fps)
        stamp_ns = round((1 + number / fps) * SECOND)
        movement.see(stamp_ns, np.clip(frame, 0, 255).astype(np.uint8))
    return movement


def layer(box: Any, label: str = "person") -> Layer:
    x0, y0, x1, y1 = (round(value * SIDE) for value in box)
    probability = np.zeros((SIDE, SIDE), np.float32)
    probability[y0:y1, x0:x1] = 0.9
    return Layer(probability, label, 0.8)


def kept(movement: Movement, *layers: Layer, least: float = 0.3) -> list[Any]:
    """Positions of the layers that are kept, with how much they move."""
    found = movement.kept(layers, least)
    places = [one.probability.argmax() for one in layers]
    return [(places.index(one.probability.argmax()), round(one.moving, 1)) for one in found]


@pytest.mark.parametrize("fps", [4.0, 10.0, 30.0])
@pytest.mark.parametrize("pan", [0.0, 0.5])
def test_of_two_alike_the_one_that_moves_is_kept(fps: float, pan: float) -> None:
    movement = film({RIGHT: 40.0}, fps=fps, pan=pan)
    assert kept(movement, layer(LEFT), layer(RIGHT)) == [(1, 1.0)]
    assert kept(movement, layer(LEFT), layer(RIGHT), least=0.0) == [(0, 1.0), (1, 1.0)]


def test_what_moves_half_as_much_stays_and_comes_second() -> None:
    movement = film({LEFT: 20.0, RIGHT: 40.0})
    (first, moves), (second, most) = kept(movement, layer(LEFT), layer(RIGHT))
    assert (first, second, most) == (0, 1, 1.0) and 0.3 < moves < 0.7


def test_things_of_different_names_are_not_compared() -> None:
    layers = layer(LEFT, "dog"), layer(RIGHT, "person")
    assert kept(film({RIGHT: 40.0}), *layers) == [(0, 1.0), (1, 1.0)]


@pytest.mark.parametrize("movement", [
    film({}), film({RIGHT: 0.5}),  # nothing moves; hardly
    film({(0.0, 0.0, 1.0, 1.0): 40.0, RIGHT: 20.0}),  # the light flickers
    film({RIGHT: 40.0}, seconds=0.4), film({RIGHT: 40.0}, fps=0.5, seconds=20.0),
], ids=["still", "hardly", "all of it", "too short", "too rarely"])  # fmt: skip
def test_where_nothing_is_told_all_stay(movement: Movement) -> None:
    assert kept(movement, layer(LEFT), layer(RIGHT)) == [(0, 1.0), (1, 1.0)]


def test_a_speck_says_nothing_of_the_others() -> None:
    movement = film({SMALL: 60.0})
    assert (0, 1.0) in kept(movement, layer(LEFT), layer(RIGHT), layer(SMALL))


def test_the_past_ends_with_a_gap_and_with_a_jump_back() -> None:
    for jump_s in (5.0, -5.0):
        movement = film({RIGHT: 40.0})
        still = scenery()[30 : 30 + HEIGHT, :WIDTH]
        movement.see(round((3 + jump_s) * SECOND), still)
        assert kept(movement, layer(LEFT), layer(RIGHT)) == [(0, 1.0), (1, 1.0)]


@pytest.mark.parametrize("name", ["c3n_light", "avsc_light"])
def test_of_two_cats_the_one_that_moves_meows(name: str) -> None:
    window = meow()
    assert window.shape == (SAMPLE_RATE,)
    for share, expected in ((0.3, [1, 1]), (0.0, [2, 2])):
        gate = GateConfig(moving_share=share)
        model = create_segmenter(name, engine="torch", device="cpu", gate=gate)
        found = [model.step(two_cats(k), window, SECOND + k * SECOND // 4) for k in range(5)]
        assert [len(one.layers) for one in found[3:]] == expected
        # In a picture by itself nothing moves.
        model.reset()
        assert len(model.step(two_cats(5), window, 9 * SECOND).layers) == 2
        if share:
            marked = found[4].layers[0].probability > 0.5
            assert marked[:, SIDE // 2 :].sum() > 0.95 * marked.sum()
        model.close()


def test_somebody_who_passes_in_front_is_no_movement_of_what_stands_behind() -> None:
    movement = Movement()
    for number in range(8):
        frame = scenery()[30 : 30 + HEIGHT, :WIDTH].copy()
        if number == 5:
            frame[:, WIDTH // 2 :] = 0
        movement.see((10 + number) * SECOND // 4, frame)
    assert kept(movement, layer(LEFT), layer(RIGHT)) == [(0, 1.0), (1, 1.0)]


def test_a_thing_with_a_number_that_was_kept_stays_on_less() -> None:
    movement = film({LEFT: 20.0, RIGHT: 40.0})
    numbered = [replace(one, index=k) for k, one in ((1, layer(LEFT)), (2, layer(RIGHT)))]
    least = kept(movement, *numbered)[0][1] + 0.1
    assert len(kept(movement, *numbered, least=0.01)) == 2  # both are kept, and then stay
    assert len(kept(movement, *numbered, least=least)) == 2
    movement.kept(numbered[1:], least)  # without it for a frame
    assert [place for place, _ in kept(movement, *numbered, least=least)] == [1]
    assert len(kept(film({LEFT: 20.0, RIGHT: 40.0}), layer(LEFT), layer(RIGHT), least=least)) == 1
