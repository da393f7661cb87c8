"""When what is due: rechunking, order, and a clock that can be held and hastened."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avs_ros.errors import ParameterError
from avs_ros.media.source import Frame, Sound
from avs_ros.nodes.playback import PlaybackClock, in_order, rechunked, start_stamp_ns

RATE = 8000
NS = 1_000_000_000


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=30),
    seconds=st.sampled_from([0.005, 0.02, 0.1]),
)
def test_rechunking_loses_nothing(lengths: list[int], seconds: float) -> None:
    samples = np.arange(sum(lengths), dtype=np.int32)
    pieces, start = [], 0
    for length in lengths:
        stamp_ns = NS + start * NS // RATE
        pieces.append(Sound(stamp_ns, samples[start : start + length], RATE))
        start += length
    out = list(rechunked(iter(pieces), seconds))
    full = round(seconds * RATE)
    assert all(len(chunk.samples) == full for chunk in out[:-1])
    assert len(out[-1].samples) <= full
    assert (np.concatenate([chunk.samples for chunk in out]) == samples).all()
    for chunk in out:
        assert abs(chunk.stamp_ns - (NS + int(chunk.samples[0]) * NS // RATE)) < 1000


def test_a_gap_or_another_format_ends_the_chunk() -> None:
    ones = np.ones((400, 2), np.int16)
    pieces = [
        Sound(NS, ones, RATE), Sound(2 * NS, ones, RATE),
        Sound(2 * NS + NS // 20, ones[:, :1], RATE),
        Sound(2 * NS + NS // 10, ones[:, :1], 16000),
    ]
    out = list(rechunked(iter(pieces), 0.1))
    assert [(one.stamp_ns, one.rate_hz) for one in out] == [
        (one.stamp_ns, one.rate_hz) for one in pieces]
    assert [one.samples.shape for one in out] == [one.samples.shape for one in pieces]


def test_frames_come_between_the_chunks_that_end_before_and_after_them() -> None:
    def source() -> Iterator[Frame | Sound]:
        for i in range(12):
            yield Sound(NS + i * NS // 10, np.zeros(RATE // 10, np.int16), RATE)
            yield Frame(NS + i * NS // 10, i, lambda: np.zeros((2, 2, 3), np.uint8))

    due = list(in_order(source(), 0.04))
    times = [due_ns for due_ns, _ in due]
    assert times == sorted(times)
    assert sum(isinstance(event, Frame) for _, event in due) == 12
    sounds = [(due_ns, event) for due_ns, event in due if isinstance(event, Sound)]
    assert sum(len(sound.samples) for _, sound in sounds) == 12 * RATE // 10
    assert all(due_ns == sound.end_ns for due_ns, sound in sounds)


class HandClock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_the_clock_can_be_held_and_hastened() -> None:
    hand = HandClock()
    clock = PlaybackClock(rate=1.0, now_ns=hand)
    hand.now_ns = 3 * NS
    assert clock.now() == 3 * NS
    clock.set(rate=4.0)
    hand.now_ns += NS
    assert clock.now() == 7 * NS
    clock.set(paused=True)
    hand.now_ns += 9 * NS
    assert clock.now() == 7 * NS
    clock.set(paused=False, rate=0.5)
    hand.now_ns += 2 * NS
    assert clock.now() == 8 * NS
    clock.seek(0)
    assert clock.now() == 0
    assert clock.wait_until(0)


def test_waiting_ends_when_due_or_when_stopped() -> None:
    hand = HandClock()
    clock = PlaybackClock(now_ns=hand)
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.append(clock.wait_until(NS)))
    waiting.start()
    hand.now_ns = 2 * NS
    waiting.join(20)
    assert results == [True]
    waiting = threading.Thread(target=lambda: results.append(clock.wait_until(9 * NS)))
    waiting.start()
    clock.stop()
    waiting.join(20)
    assert results == [True, False] and clock.stopped


def test_where_a_recording_begins() -> None:
    assert start_stamp_ns("now", 5, 7) == 5
    assert start_stamp_ns("recorded", 5, 7) == 7
    assert start_stamp_ns("12.5", 5, 7) == 12_500_000_000
    for wrong in ("soon", "-3", "0", "nan", "1e20"):
        with pytest.raises(ParameterError, match="start_stamp"):
            start_stamp_ns(wrong, 5, 7)


