"""A sound that weakens for a moment: the mask holds, unless the stream gives no reason to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kept_segmenter import KEPT, KeptLight

from avs_ros.gate import GateConfig, apply_gate
from avs_ros.segmentation import Bytes, Float

pytestmark = KEPT
RATE, TENTH = 16000, 100_000_000
Windows = tuple[Bytes, Float, Float, float]


@pytest.fixture(scope="module")
def weakening() -> Windows:
    """An image, a clear and a weaker second of its cat, and a threshold between their scores."""
    pytest.importorskip("skimage.data")
    soxr = pytest.importorskip("soxr")
    from avs_ros.media import scene

    frame = next(iter(scene.images(1.0)))
    track = soxr.resample(scene.soundtrack(), scene.RATE_HZ, RATE).astype(np.float32)
    clear = track[2 * RATE : 3 * RATE]
    hiss = np.random.default_rng(0).normal(0, 1, RATE).astype(np.float32)
    judge = gated()

    def score(window: Float) -> float:
        judge.reset()
        return judge.step(frame, window, 0).score

    loud = score(clear)
    for level in np.geomspace(0.002, 0.3, 12):
        weak = clear + np.float32(level) * hiss
        if 0.1 < score(weak) < loud - 0.1:
            return frame, clear, weak, (loud + score(weak)) / 2
    raise AssertionError("no level of noise weakens what is heard of the cat")


def gated(**options: float) -> Any:
    segmenter = KeptLight()
    apply_gate(segmenter, GateConfig(context=1.0, **options))
    return segmenter


@pytest.mark.parametrize(
    ("hold", "later", "reset", "kept"),
    [
        pytest.param(8.0, TENTH, False, True, id="holds"),
        pytest.param(0.0, TENTH, False, False, id="no-hold"),
        pytest.param(8.0, 20 * TENTH, False, False, id="another-second-stands-for-itself"),
        pytest.param(8.0, TENTH, True, False, id="reset"),
    ],
)
def test_a_mask_goes_on_through_a_weaker_moment(
    weakening: Windows,
    hold: float,
    later: int,
    reset: bool,
    kept: bool,
) -> None:
    frame, clear, weak, threshold = weakening
    segmenter = gated(sounding_threshold=threshold, hold=hold, release=0.0)
    assert [layer.label for layer in segmenter.step(frame, clear, 0).layers] == ["cat"]
    if reset:
        segmenter.reset()
    answer = segmenter.step(frame, weak, later)
    assert [layer.label for layer in answer.layers] == (["cat"] if kept else [])
    # What has ended once does not come back at the lower threshold.
    assert segmenter.step(frame, np.zeros(RATE, np.float32), later + TENTH).layers == ()
    assert segmenter.step(frame, weak, later + 2 * TENTH).layers == ()


def test_what_never_sounded_is_not_held(weakening: Windows) -> None:
    frame, _, weak, threshold = weakening
    segmenter = gated(sounding_threshold=threshold, hold=8.0)
    for tick in range(3):
        assert segmenter.step(frame, weak, tick * TENTH).layers == ()
