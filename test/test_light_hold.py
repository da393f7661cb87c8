"""A sound that weakens for a moment: the mask holds, unless the stream gives no reason to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avs_ros.inference.light import LightSegmenter
from avs_ros.segmentation import Bytes, Float

RATE, TENTH = 16000, 100_000_000
Windows = tuple[Bytes, Float, Float, float]


@pytest.fixture(scope="module")
def weakening() -> Windows:
    """A picture, a clear and a weaker second of its cat, and a threshold between both."""
    pytest.importorskip("skimage.data")
    soxr = pytest.importorskip("soxr")
    from avs_ros.media import scene

    frame = next(iter(scene.pictures(1.0)))
    track = soxr.resample(scene.soundtrack(), scene.RATE_HZ, RATE).astype(np.float32)
    clear = track[2 * RATE : 3 * RATE]
    hiss = np.random.default_rng(0).normal(0, 1, RATE).astype(np.float32)
    # With a threshold of 0.5 the score is the gate's probability itself.
    judge = LightSegmenter(threshold=0.5, context_s=1.0)

    def odds(window: Float) -> float:
        judge.reset()
        p = judge.step(frame, window, 0).sounding
        return float(np.log(p / (1 - p)))

    loud = odds(clear)
    for level in np.geomspace(0.002, 0.3, 12):
        weak = clear + np.float32(level) * hiss
        if 0.8 < loud - odds(weak) < 7:
            between = (loud + odds(weak)) / 2
            return frame, clear, weak, float(1 / (1 + np.exp(-between)))
    raise AssertionError("no level of noise weakens what is heard of the cat")


@pytest.mark.parametrize(
    ("hold", "later", "between", "kept"),
    [
        pytest.param(8.0, TENTH, None, True, id="holds"),
        pytest.param(0.0, TENTH, None, False, id="no-hold"),
        pytest.param(8.0, 20 * TENTH, None, False, id="another-second-stands-for-itself"),
        pytest.param(8.0, TENTH, LightSegmenter.reset, False, id="reset"),
    ],
)
def test_a_mask_goes_on_through_a_weaker_moment(
    weakening: Windows,
    hold: float,
    later: int,
    between: Callable[[LightSegmenter], None] | None,
    kept: bool,
) -> None:
    frame, clear, weak, threshold = weakening
    segmenter = LightSegmenter(threshold=threshold, hold=hold, context_s=1.0, release_s=0)
    assert [layer.label for layer in segmenter.step(frame, clear, 0).layers] == ["cat"]
    if between is not None:
        between(segmenter)
    answer = segmenter.step(frame, weak, later)
    assert [layer.label for layer in answer.layers] == (["cat"] if kept else [])
    assert (answer.sounding >= 0.5) is kept
    # What has ended once does not come back at the lower threshold.
    assert segmenter.step(frame, np.zeros(RATE, np.float32), later + TENTH).layers == ()
    assert segmenter.step(frame, weak, later + 2 * TENTH).layers == ()


def test_what_never_sounded_is_not_held(weakening: Windows) -> None:
    frame, _, weak, threshold = weakening
    segmenter = LightSegmenter(threshold=threshold, hold=8.0, context_s=1.0)
    for tick in range(3):
        assert segmenter.step(frame, weak, tick * TENTH).layers == ()
