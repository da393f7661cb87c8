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
from avs_ros.nodes.playback import PlaybackClock, Rechunker, in_order, start_stamp_ns

RATE = 8000
NS = 1_000_000_000


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 900), min_size=1, max_size=30),
    seconds=st.sampled_from([0.005, 0.02, 0.1]),
)
def test_rechunking_loses_nothing(lengths: list[int], seconds: float) -> None:
    samples = np.arange(sum(lengths), dtype=np.int32)
    rechunker, out, start = Rechunker(seconds), [], 0
    for length in lengths:
        stamp_ns = NS + start * NS // RATE
        out += rechunker.push(Sound(stamp_ns, samples[start : start + length], RATE))
        start += length
    full = round(seconds * RATE)
    assert all(len(chunk.samples) == full for chunk in out)
    out += rechunker.flush()
    assert (np.concatenate([chunk.samples for chunk in out]) == samples).all()
    for chunk in out:
        assert abs(chunk.stamp_ns - (NS + int(chunk.samples[0]) * NS // RATE)) < 1000


def test_a_gap_or_another_format_ends_the_chunk() -> None:
    rechunker = Rechunker(0.1)
    ones = np.ones((400, 2), np.int16)
    assert rechunker.push(Sound(NS, ones, RATE)) == []
    (short,) = rechunker.push(Sound(2 * NS, ones, RATE))
    assert len(short.samples) == 400 and short.stamp_ns == NS
    (short,) = rechunker.push(Sound(2 * NS + NS // 20, ones[:, :1], RATE))
    assert short.stamp_ns == 2 * NS
    (short,) = rechunker.push(Sound(2 * NS + NS // 10, ones[:, :1], 16000))
    assert short.rate_hz == RATE


def test_frames_come_between_the_chunks_that_end_before_and_after_them() -> None:
    def source() -> Iterator[Frame | Sound]:
        for i in range(12):
            yield Sound(NS + i * NS // 10, np.zeros(RATE // 10, np.int16), RATE)
            yield Frame(NS + i * NS // 10, i, lambda: np.zeros((2, 2, 3), np.uint8))

    due = list(in_order(source(), 0.04))
    times = [one.due_ns for one in due]
    assert times == sorted(times)
    assert sum(isinstance(one.event, Frame) for one in due) == 12
    sounds = [one for one in due if isinstance(one.event, Sound)]
    assert sum(len(one.event.samples) for one in sounds) == 12 * RATE // 10
    assert all(one.due_ns == one.event.end_ns for one in sounds)


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


