"""What turns away for a moment stays visible to the gate; what has gone is not marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from cat_scenes import meow, two_cats

from avs_ros.gate import GateConfig, apply_gate
from avs_ros.inference import create_segmenter
from avs_ros.inference.segmenter import Segmenter

TENTH = 10**8


@pytest.fixture(params=("c3n_light", "avsc_light"))
def segmenter(request: pytest.FixtureRequest) -> Iterator[Segmenter]:
    made = create_segmenter(request.param, "torch", "cpu")
    yield made
    made.close()


def marks(segmenter: Segmenter, frames: list[Any]) -> list[tuple[int, float]]:
    """How many layers each frame of a stream of ten a second has while a cat meows; and its
    score.
    """
    answers = [segmenter.step(f, meow(), n * TENTH) for n, f in enumerate(frames)]
    return [(len(one.layers), one.score) for one in answers]


def test_what_has_gone_is_not_marked(segmenter: Segmenter) -> None:
    grey = np.full_like(two_cats(0), 120)
    found = marks(segmenter, [two_cats(0)] * 6 + [grey] * 4)
    assert all(count for count, _ in found[2:6])
    assert [count for count, _ in found[6:]] == [0] * 4
    assert max(score for _, score in found[6:]) < 0.5


def test_a_blurred_frame_takes_no_mark_away() -> None:
    """By itself it shows too little of the cats; a moment ago they were seen."""
    blurred = cv2.GaussianBlur(two_cats(0), (0, 0), 9)
    segmenter = create_segmenter("c3n_light", "torch", "cpu")
    # What is marked needs as much as what is new: only what was seen can tell.
    apply_gate(segmenter, GateConfig(hold=0.0))
    try:
        assert marks(segmenter, [blurred])[0][0] == 0
        segmenter.reset()
        assert marks(segmenter, [two_cats(0)] * 4 + [blurred] * 2)[-1][0] > 0
    finally:
        segmenter.close()
