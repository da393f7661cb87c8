"""Each disturbance alone, and several in a row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avs_ros.errors import ParameterError
from avs_ros.evaluation.perturbations import (
    Perturbation,
    blur,
    clock_drift,
    dropped,
    low_light,
    noise,
    other_sound,
    shifted_sound,
    silence,
)
from avs_ros.streaming.inputs import Event, Frame, Sound

BEGIN = 1_700_000_000_000_000_000
RATE = 8000
CHUNK = 400
IMAGE = np.zeros((40, 60, 3), np.uint8)
IMAGE[:, 30:] = 200


def recording(chunks: int = 40) -> Iterator[Event]:
    """Two seconds of a loud tone in chunks of 50 ms, and an image after each."""
    tone = (8000 * np.sin(np.arange(chunks * CHUNK) * 0.5)).astype(np.int16)
    for n in range(chunks):
        yield Sound(BEGIN + n * 50_000_000, tone[n * CHUNK : (n + 1) * CHUNK], RATE)
        yield Frame(BEGIN + (n + 1) * 50_000_000, n, lambda: IMAGE)


def sounds(events: Iterator[Event]) -> list[Sound]:
    return [event for event in events if isinstance(event, Sound)]


def frames(events: Iterator[Event]) -> list[Frame]:
    return [event for event in events if isinstance(event, Frame)]


def track(events: Iterator[Event]) -> np.ndarray:
    return np.concatenate([sound.samples for sound in sounds(events)])


def level(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))


OWN = track(recording()).astype(np.float32) / 32768
ALL: list[Perturbation] = [
    silence(), noise(-30.0), noise(-30.0, alone=True), shifted_sound(0.5), clock_drift(100.0),
    other_sound(np.ones(99, np.float32), RATE, -20.0), dropped(Sound, 0.3), dropped(Frame, 0.3),
    blur(0.02), low_light(3.0),
]  # fmt: skip


@pytest.mark.parametrize("perturbation", ALL)
def test_the_same_seed_gives_the_same_events(perturbation: Perturbation) -> None:
    first, second = (list(perturbation(recording())) for _ in range(2))
    assert [e.stamp_ns for e in first] == [e.stamp_ns for e in second]
    for one, other in zip(first, second):
        if isinstance(one, Sound) and isinstance(other, Sound):
            assert np.array_equal(one.samples, other.samples)
        elif isinstance(one, Frame) and isinstance(other, Frame):
            assert np.array_equal(one.decode(), other.decode())


def test_silence() -> None:
    heard = sounds(silence()(recording()))
    assert len(heard) == 40 and not any(sound.samples.any() for sound in heard)
    assert [sound.end_ns for sound in heard] == [s.end_ns for s in sounds(recording())]


def test_noise_has_the_level_that_was_asked_for() -> None:
    added = track(noise(-30.0)(recording())) - OWN
    assert level(added) == pytest.approx(-30, abs=0.2)
    assert abs(np.corrcoef(added[1:], added[:-1])[0, 1]) < 0.05
    assert level(track(noise(-30.0, alone=True)(recording()))) == pytest.approx(-30, abs=0.2)
    assert not np.array_equal(added, track(noise(-30.0, seed=1)(recording())) - OWN)


@pytest.mark.parametrize("rate", [RATE, 2 * RATE])
def test_another_sound_plays_over_and_over(rate: int) -> None:
    second = np.sin(2 * np.pi * 50 * np.arange(rate) / rate).astype(np.float32)
    second[: rate // 2] = 0
    alone = track(other_sound(second, rate, -20.0)(recording()))
    half = RATE // 2
    parts = alone.reshape(4, half)
    assert not parts[0].any() and not parts[2].any() and np.abs(parts[1]).max() > 0.1
    assert np.allclose(parts[1], parts[3], atol=1e-3)
    assert level(alone) == pytest.approx(-20, abs=0.05)
    over = track(other_sound(second, rate, -20.0, alone=False)(recording()))
    assert np.allclose(over - OWN, alone, atol=1e-6)


def test_sound_of_several_channels_is_mixed() -> None:
    stereo = [Sound(BEGIN, np.full((10, 2), (8192, 0), np.int16), RATE)]
    (event,) = sounds(other_sound(np.ones(5, np.float32), RATE, -200.0, alone=False)(iter(stereo)))
    assert event.samples.shape == (10,) and event.samples == pytest.approx(0.125, abs=1e-6)


def test_shift_and_drift_move_stamps_only() -> None:
    shifted = sounds(shifted_sound(-0.2)(recording()))
    assert shifted[3].stamp_ns == BEGIN + 150_000_000 - 200_000_000
    drifted = sounds(clock_drift(1000.0)(recording()))
    assert drifted[0].stamp_ns == BEGIN
    assert drifted[20].stamp_ns == BEGIN + 1_001_000_000
    assert np.array_equal(track(iter(drifted)), track(recording()))
    assert len(frames(shifted_sound(1.0)(recording()))) == 40


def test_drops_take_their_share_of_one_kind() -> None:
    events = list(dropped(Sound, 0.3)(recording(400)))
    assert 220 < len(sounds(iter(events))) < 340 and len(frames(iter(events))) == 400
    events = list(dropped(Frame, 0.3)(recording(400)))
    assert 220 < len(frames(iter(events))) < 340 and len(sounds(iter(events))) == 400
    assert not sounds(dropped(Sound, 1.0)(recording()))
    assert frames(dropped(Frame, 0.0)(recording()))
    with pytest.raises(ParameterError, match=r"1\.5"):
        dropped(Frame, 1.5)


def test_blur_softens_the_edge_and_nothing_else() -> None:
    seen = frames(blur(0.05)(recording()))[0].decode()
    assert 60 < seen[20, 29, 0] < 140 and seen[20, 0, 0] == 0 and seen[20, 59, 0] == 200
    assert np.array_equal(frames(blur(0.0)(recording()))[0].decode(), IMAGE)


def test_low_light_is_darker_and_noisier() -> None:
    first, second = (frame.decode() for frame in frames(low_light(2.2)(recording()))[:2])
    bright = first[:, 30:].astype(float)
    assert bright.mean() == pytest.approx(100, abs=1) and bright.std() == pytest.approx(5.1, abs=1)
    assert not np.array_equal(first, second)
    assert first.dtype == np.uint8 and first.shape == IMAGE.shape


def test_several_in_a_row() -> None:
    events = list(low_light(3.0)(silence()(dropped(Frame, 0.5)(recording()))))
    assert not track(iter(events)).any() and 5 < len(frames(iter(events))) < 35
    assert frames(iter(events))[0].decode()[0, 59, 0] < 120


def test_images_stay_lazy() -> None:
    def refuse() -> np.ndarray:
        raise RuntimeError("decoded")

    (frame,) = low_light(2.0)(blur(0.1)(iter([Frame(BEGIN, 0, refuse)])))
    assert isinstance(frame, Frame)
    with pytest.raises(RuntimeError, match="decoded"):
        frame.decode()
