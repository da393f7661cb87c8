"""What a segmenter is handed: anything but an RGB image and a window in -1..1 is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avs_ros.errors import AudioFormatError, ImageFormatError
from avs_ros.inference import create_segmenter
from avs_ros.inference.segmenter import Segmenter

# One worker opens the models.
pytestmark = pytest.mark.xdist_group("inference_inputs")

MODELS = ("c3n_light", "c3n_light_paper", "avsc_light", "consensus_cam")


@pytest.fixture(scope="module", params=MODELS)
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return create_segmenter(request.param, engine="torch")


def inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (48, 64, 3), np.uint8),
            (0.1 * rng.normal(size=16000)).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "arguments"),
    [
        (lambda w: (w * 32767).astype(np.int16), "int16"),
        (lambda w: (w * 2**31).astype(np.int32), "int32"),
        (lambda w: w * 32768, "divide by the full scale"),
        (lambda w: w * 32768 / 1000, "divide by the full scale"),
        (lambda w: w.tolist(), "got list"),
        (lambda w: None, "got NoneType"),
        (lambda w: w[:100], "16000"),
        (lambda w: np.stack([w, w]), "16000"),
        (lambda w: w * np.nan, "finite"),
    ],
)
def test_another_window_is_refused_and_never_clipped(
    segmenter: Segmenter, change: Callable[[np.ndarray], Any], arguments: str
) -> None:
    frame, window = inputs()
    with pytest.raises(AudioFormatError, match=arguments):
        segmenter.step(frame, change(window), 10**9)


@pytest.mark.parametrize(
    "change", [lambda f: f.tolist(), lambda f: f.astype(np.float32), lambda f: f[..., 0],
               lambda f: f[:0], lambda f: None, lambda f: f.transpose(2, 0, 1)])
def test_another_image_is_refused(
    segmenter: Segmenter, change: Callable[[np.ndarray], Any]
) -> None:
    frame, window = inputs()
    with pytest.raises(ImageFormatError):
        segmenter.step(change(frame), window, 10**9)


def test_overshoot_and_double_precision_are_taken(segmenter: Segmenter) -> None:
    frame, window = inputs()
    window[5] = 1.7
    segmenter.reset()
    first = segmenter.step(frame, window, 10**9).probability
    segmenter.reset()
    second = segmenter.step(frame, window.astype(np.float64), 10**9).probability
    assert np.array_equal(first, second)
