"""What is drawn, where, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_answers import answer

from avs_ros.overlay import draw_masks, draw_overlay, instance_colours, label_colour


def grey(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def test_marked_pixels_turn_towards_their_colour_and_others_darker() -> None:
    image = grey(200, 120)
    found = answer(200, 120, [(20, 20, 80, 80)], ["cat"])
    out = draw_masks(image, found.label_mask(), found.instances)
    assert out is not image
    assert (image == 128).all()
    inside, outside = out[50, 50].astype(float), out[100, 150].astype(float)
    towards = np.array(label_colour("cat")) - 128.0
    assert np.sign(inside - 128) == pytest.approx(np.sign(towards))
    assert (outside < 128).all()
    assert len(set(outside)) == 1


def test_nothing_marked_leaves_the_image_as_it_is() -> None:
    image = grey(320, 180)
    out = draw_overlay(image, answer(320, 180, [], []), status=False)
    assert np.array_equal(out, image)


def test_the_status_strip_shows_the_level() -> None:
    def lit(level: float) -> int:
        out = draw_overlay(grey(640, 360), answer(640, 360, [], [], level=level))
        strip = out[330:, :120].astype(int)
        return int((strip.max(axis=2) - strip.min(axis=2) > 60).sum())

    assert lit(-np.inf) == lit(-60.0) == 0
    assert 0 < lit(-40.0) < lit(-20.0) < lit(-3.0)
    # The image above the strip is not touched.
    out = draw_overlay(grey(640, 360), answer(640, 360, [], []))
    assert (out[:325] == 128).all()


def test_the_point_is_drawn_where_it_is() -> None:
    found = answer(640, 360, [(100, 100, 300, 260)], ["cat"], point=(200.0, 180.0))
    with_point = draw_overlay(grey(640, 360), found)
    without = draw_overlay(grey(640, 360), answer(640, 360, [(100, 100, 300, 260)], ["cat"]))
    rows, columns = np.nonzero((with_point != without).any(axis=2))
    assert columns.mean() == pytest.approx(199.5, abs=1)
    assert rows.mean() == pytest.approx(179.5, abs=1)
    assert rows.max() - rows.min() < 40


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (256, 144), (641, 361), (1920, 1080)])
def test_any_size_with_boxes_at_every_edge(size: tuple[int, int]) -> None:
    width, height = size
    boxes = [(0, 0, width // 2, height // 2), (width // 2, height // 2, width, height)]
    found = answer(width, height, boxes, ["a very long label, indeed", "ünïcode"], -10,
                   (width - 0.5, 0.5))
    out = draw_overlay(grey(width, height), found)
    assert out.shape == (height, width, 3)
    assert out.dtype == np.uint8
    assert not np.array_equal(out, grey(width, height))


def test_colours_go_by_label_and_tell_twins_apart() -> None:
    cats = answer(90, 90, [(0, 0, 20, 20), (30, 30, 50, 50), (60, 60, 80, 80)],
                  ["cat", "cat", "dog"]).instances
    colours = instance_colours(cats)
    assert colours[1] == label_colour("cat")
    assert colours[2] != colours[1]
    assert colours[3] == label_colour("dog")
    # From the left to the right, so that a twin keeps its colour when the scores change places.
    assert instance_colours(cats[::-1]) == colours
