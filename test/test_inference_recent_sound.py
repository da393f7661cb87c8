"""The last seconds of a stream, out of the seconds that its frames come with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from avs_ros.gate import GateConfig
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.recent_sound import RecentSound, repeated
from avs_ros.inference.registry import create_segmenter
from avs_ros.models.light.checkpoint import load_light
from avs_ros.models.light.steps import TwoSpans
from avs_ros.segmentation import sigmoid

SECOND = 1_000_000_000
RATE = 16000


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (0.1 * noise).astype(np.float32)


def window_at(whole: np.ndarray, stamp_ns: int) -> np.ndarray:
    end = stamp_ns * RATE // SECOND
    return whole[end - RATE : end]


@pytest.mark.parametrize("fps", [1, 7, 29.97, 60])
def test_windows_of_a_stream_are_put_together_sample_by_sample(fps: float) -> None:
    whole, recent = sound(20), RecentSound(3)
    for step in range(int(18 * fps)):
        stamp = SECOND + round(step / fps * SECOND)
        found = recent(stamp, window_at(whole, stamp))
        end = stamp * RATE // SECOND
        if end >= 3 * RATE:
            np.testing.assert_array_equal(found, whole[end - 3 * RATE : end])


def test_what_is_not_known_is_repeated() -> None:
    whole, recent = sound(3), RecentSound(3)
    first = recent(SECOND, whole[:RATE])
    np.testing.assert_array_equal(first, np.tile(whole[:RATE], 3))
    later = recent(SECOND * 3 // 2, whole[RATE // 2 : RATE * 3 // 2])
    np.testing.assert_array_equal(later, np.tile(whole[: RATE * 3 // 2], 2))
    np.testing.assert_array_equal(repeated(whole, RATE), whole[-RATE:])


def test_no_more_is_taken_than_wanted() -> None:
    whole, recent = sound(3), RecentSound(3)
    for step in range(5):
        stamp = SECOND + step * SECOND // 2
        recent(stamp, window_at(whole, stamp))
    for reach_s, taken in ((0.0, 1.0), (1.5, 1.5), (10.0, 3.0)):
        recent.reach_s = reach_s
        found = recent(stamp, window_at(whole, stamp))
        np.testing.assert_array_equal(found, repeated(whole[-round(taken * RATE) :], 3 * RATE))


@pytest.mark.parametrize("jump", [-SECOND, 2 * SECOND])
def test_a_jump_in_time_forgets_the_past(jump: int) -> None:
    whole, other = sound(3), sound(1, seed=1)
    recent = RecentSound(3)
    for step in range(5):
        stamp = SECOND + step * SECOND // 4
        recent(stamp, window_at(whole, stamp))
    np.testing.assert_array_equal(recent(stamp + jump, other), np.tile(other, 3))
    recent.reset()
    np.testing.assert_array_equal(recent(stamp + jump, whole[:RATE]), np.tile(whole[:RATE], 3))


def test_the_newest_window_is_taken_whole() -> None:
    """Also where it does not go on from the one before."""
    whole, other, recent = sound(3), sound(1, seed=1), RecentSound(3)
    for step in range(3):
        recent((step + 1) * SECOND, window_at(whole, (step + 1) * SECOND))
    found = recent(3 * SECOND + SECOND // 4, other)
    np.testing.assert_array_equal(found[-RATE:], other)
    np.testing.assert_array_equal(found[:-RATE], whole[RATE // 4 : RATE * 9 // 4])
    np.testing.assert_array_equal(RecentSound(1)(SECOND, other), other)


def test_a_frame_of_the_same_stamp_adds_nothing() -> None:
    whole, recent = sound(2), RecentSound(3)
    recent(SECOND, window_at(whole, SECOND))
    once = recent(2 * SECOND, window_at(whole, 2 * SECOND))
    np.testing.assert_array_equal(recent(2 * SECOND, window_at(whole, 2 * SECOND)), once)


def test_one_network_hears_the_last_second_and_one_all_three() -> None:
    model = load_light(BUNDLED)
    assert model.short_audio is not None
    spans = TwoSpans(model.network.audio_encoder, model.short_audio).eval()
    heard = torch.from_numpy(sound(3))[None]
    with torch.no_grad():
        feature, now, longer = spans(heard)
        expected = model.network.audio_encoder.hear(heard)
        torch.testing.assert_close(now, model.short_audio.hear(heard[:, -RATE:])[1])
    torch.testing.assert_close((feature, longer), expected)


@pytest.mark.parametrize("name", ["c3n_light", "avsc_light"])
def test_a_stream_is_named_by_its_last_second_and_its_last_three(name: str) -> None:
    model: Any = create_segmenter(
        name, engine="torch", device="cpu", gate=GateConfig(context=3.0, audio_period=0.0)
    )
    frame = np.zeros((48, 64, 3), np.uint8)
    # It gets louder: no second of it is like the one before.
    whole = sound(5) * np.linspace(0.1, 1.0, 5 * RATE, dtype=np.float32)
    for step in range(5):
        stamp = SECOND + step * SECOND
        answer = model.step(frame, window_at(whole, stamp), stamp)
    spans = TwoSpans(load_light(BUNDLED).network.audio_encoder, load_light(BUNDLED).short_audio)
    with torch.no_grad():
        _, now, longer = spans.eval()(torch.from_numpy(whole[-3 * RATE :])[None])
    heard = (0.5 * (now + longer))[0].numpy()
    assert answer.audio_label == model.metadata["names"]["audioset"][int(heard.argmax())]
    assert answer.audio_score == pytest.approx(float(sigmoid(heard.max())), abs=1e-4)
    # The stream's last second by itself says something else.
    model.reset()
    alone = model.step(frame, window_at(whole, stamp), stamp)
    assert alone.audio_score != pytest.approx(answer.audio_score, abs=1e-3)
    model.close()
