"""Each frame meets the sound that ends at it, and every frame is accounted for."""

import math

import numpy as np
import pytest
from fakes import ManualClock
from sound_source import EPOCH_NS, RAMP_S, chunk_at, ramp

from avs_ros.errors import AudioFormatError, ParameterError
from avs_ros.streaming import Frame, Sound, Synchronizer
from avs_ros.streaming.pipeline import COUNTERS

FRAME = np.zeros((2, 3, 3), np.uint8)
MS = 1_000_000


def test_a_frame_waits_for_the_sound_up_to_its_stamp():
    clock = ManualClock()
    sync = Synchronizer(window_s=0.2, clock=clock)
    chunk_at(sync, 0, 200)
    frame = Frame.of(EPOCH_NS + 250 * MS, FRAME)
    sync.push(frame)
    assert sync.poll() is None
    chunk_at(sync, 200, 49)
    assert sync.poll() is None
    chunk_at(sync, 249, 1)
    pair = sync.poll()
    assert (pair.stamp_ns, pair.frame) == (EPOCH_NS + 250 * MS, frame)
    assert pair.image is FRAME
    expected = 0.05 + np.arange(3200) / 16000
    np.testing.assert_allclose(pair.window.astype(float) * RAMP_S, expected, atol=1e-5)
    assert (pair.coverage, pair.complete, pair.sync_error_ms) == (1.0, True, 0.0)
    assert sync.poll() is None


def test_at_the_deadline_it_is_served_with_what_there_is():
    clock = ManualClock()
    sync = Synchronizer(window_s=0.2, deadline_s=0.5, clock=clock)
    chunk_at(sync, 0, 200)
    sync.push(Frame.of(EPOCH_NS + 250 * MS, FRAME))
    assert sync.next_deadline_ns() == clock.now_ns() + 500 * MS
    clock.advance(0.499)
    assert sync.poll() is None
    clock.advance(0.001)
    pair = sync.poll()
    assert not pair.complete
    assert pair.coverage == pytest.approx(0.75)
    assert pair.sync_error_ms == pytest.approx(50.0)
    assert not pair.window[-800:].any()
    assert sync.counters()["frames_deadline"] == sync.counters()["frames_incomplete"] == 1


def test_without_any_sound_the_error_is_unknown():
    clock = ManualClock()
    sync = Synchronizer(deadline_s=0.1, clock=clock)
    sync.push(Frame.of(EPOCH_NS, FRAME))
    clock.advance(0.1)
    pair = sync.poll()
    assert math.isnan(pair.sync_error_ms)
    assert (pair.coverage, pair.level_dbfs) == (0.0, -math.inf)


def test_clocks_that_disagree_show_in_the_error():
    clock = ManualClock()
    sync = Synchronizer(deadline_s=0.1, clock=clock)
    chunk_at(sync, 0)
    sync.push(Frame.of(EPOCH_NS + 3_600_000 * MS, FRAME))
    clock.advance(0.1)
    assert sync.poll().sync_error_ms == pytest.approx(3_599_900)


@pytest.mark.parametrize("offset_ms", [-80, 40])
def test_the_window_may_end_beside_the_stamp(offset_ms):
    sync = Synchronizer(window_s=0.1, offset_s=offset_ms / 1000, clock=ManualClock())
    chunk_at(sync, 0, 500)
    sync.push(Frame.of(EPOCH_NS + 300 * MS, FRAME))
    pair = sync.poll()
    assert pair.window[-1] * RAMP_S == pytest.approx((300 + offset_ms) / 1000, abs=2 / 16000)
    sync.push(Frame.of(EPOCH_NS + (500 - offset_ms + 1) * MS, FRAME))
    assert sync.poll() is None


def test_duplicates_and_stragglers_are_dropped_and_counted():
    sync = Synchronizer(clock=ManualClock())
    for ms in (0, 100, 100, 40, 100, 200):
        sync.push(Frame.of(EPOCH_NS + ms * MS, FRAME))
    sync.finish()
    stamps = [(sync.poll().stamp_ns - EPOCH_NS) // MS for _ in range(3)]
    assert stamps == [0, 100, 200] and sync.poll() is None
    counters = sync.counters()
    assert (counters["dropped_duplicate"], counters["dropped_out_of_order"]) == (2, 1)


def test_the_newest_frame_with_sound_wins_and_newer_ones_wait():
    clock = ManualClock()
    sync = Synchronizer(window_s=0.1, deadline_s=0.5, clock=clock)
    for ms in (100, 200, 300, 400):
        sync.push(Frame.of(EPOCH_NS + ms * MS, FRAME))
    chunk_at(sync, 0, 300)
    assert sync.poll_newest().stamp_ns == EPOCH_NS + 300 * MS
    assert sync.counters()["dropped_busy"] == 2 and sync.waiting == 1
    assert sync.poll_newest() is None
    clock.advance(0.5)
    assert sync.poll_newest(reason="dropped_max_rate").stamp_ns == EPOCH_NS + 400 * MS


def test_a_frame_with_sound_wins_over_a_newer_one_past_its_deadline():
    clock = ManualClock()
    sync = Synchronizer(window_s=0.1, deadline_s=0.5, clock=clock)
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))
    sync.push(Frame.of(EPOCH_NS + 900 * MS, FRAME))
    clock.advance(0.6)
    chunk_at(sync, 0, 200)
    assert sync.poll_newest().stamp_ns == EPOCH_NS + 100 * MS
    assert sync.poll_newest().stamp_ns == EPOCH_NS + 900 * MS


def test_a_jump_back_begins_a_new_epoch_without_the_old_sound():
    sync = Synchronizer(window_s=0.1, clock=ManualClock())
    chunk_at(sync, 0, 5000)
    sync.push(Frame.of(EPOCH_NS + 4900 * MS, FRAME))
    sync.push(Frame.of(EPOCH_NS + 5000 * MS, FRAME))
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))  # the recording begins again
    assert sync.poll() is None and sync.epoch == 1
    chunk_at(sync, 0, 100)
    pair = sync.poll()
    assert pair.epoch == 1 and pair.complete
    counters = sync.counters()
    assert (counters["jumps_back"], counters["dropped_reset"]) == (1, 2)


def test_sound_that_jumped_before_the_frames_is_kept():
    sync = Synchronizer(window_s=0.1, clock=ManualClock())
    chunk_at(sync, 4000, 1000)
    sync.push(Frame.of(EPOCH_NS + 5000 * MS, FRAME))
    assert sync.poll() is not None
    chunk_at(sync, 0, 100)
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))
    assert sync.poll().complete
    assert sync.counters()["audio_restarts"] == 1


def test_too_many_waiting_frames_push_out_the_oldest():
    sync = Synchronizer(max_waiting=3, clock=ManualClock())
    for ms in range(0, 500, 100):
        sync.push(Frame.of(EPOCH_NS + ms * MS, FRAME))
    sync.finish()
    assert sync.poll().stamp_ns == EPOCH_NS + 200 * MS
    assert sync.counters()["dropped_queue_full"] == 2


def test_finish_serves_everything_until_sound_comes_again():
    sync = Synchronizer(window_s=0.1, deadline_s=None, clock=ManualClock())
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))
    assert sync.poll() is None and sync.next_deadline_ns() is None
    sync.finish()
    assert sync.poll().coverage == 0
    sync.push(Frame.of(EPOCH_NS + 200 * MS, FRAME))
    assert sync.poll() is not None
    chunk_at(sync, 0, 100)
    sync.push(Frame.of(EPOCH_NS + 300 * MS, FRAME))
    assert sync.poll() is None


def test_finish_brings_out_what_the_resampler_held_back():
    sync = Synchronizer(window_s=0.5, deadline_s=None, clock=ManualClock())
    for chunk in ramp(1, 44100, 1.0):
        sync.push(Sound(chunk.stamp_ns, chunk.samples, 44100))
    sync.push(Frame.of(EPOCH_NS + 1000 * MS, FRAME))
    assert sync.poll() is None
    sync.finish()
    assert sync.poll().complete


def test_reset_forgets_frames_and_sound_but_not_the_counters():
    sync = Synchronizer(clock=ManualClock())
    chunk_at(sync, 0)
    sync.push(Frame.of(EPOCH_NS + 900 * MS, FRAME))
    sync.reset()
    assert (sync.waiting, sync.epoch) == (0, 1)
    counters = sync.counters()
    assert counters["dropped_reset"] == counters["audio_chunks"] == 1
    sync.push(Frame.of(EPOCH_NS + 900 * MS, FRAME))  # no duplicate of a frame before the reset
    assert sync.waiting == 1 and sync.poll() is None  # its sound is gone


def test_a_bad_chunk_disturbs_nothing():
    sync = Synchronizer(window_s=0.1, clock=ManualClock())
    chunk_at(sync, 0)
    with pytest.raises(AudioFormatError):
        sync.push(Sound(EPOCH_NS, np.zeros(10, np.int16), 0))
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))
    assert sync.poll().complete


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_s", 0.0), ("window_s", 31.0), ("offset_s", math.inf), ("deadline_s", -1.0),
     ("deadline_s", math.nan)],
)
def test_settings_out_of_range_are_refused_at_any_time(name, value):
    with pytest.raises(ParameterError):
        Synchronizer(**{name: value})
    if name == "window_s":  # stays as it is
        return
    sync = Synchronizer()
    with pytest.raises(ParameterError):
        setattr(sync, name, value)


def test_every_counter_is_explained():
    assert set(Synchronizer().counters()) <= set(COUNTERS)
