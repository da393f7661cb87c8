"""Each frame meets the sound that ends at it, and every frame is accounted for."""

import itertools
import math
import threading

import numpy as np
import pytest
from fakes import ManualClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sound_source import EPOCH_NS, RAMP_S, ramp

from avs_ros.errors import AudioFormatError, ParameterError
from avs_ros.streaming import COUNTERS, Frame, Sound, Synchronizer

FRAME = np.zeros((2, 3, 3), np.uint8)
DROPS = ("duplicate", "out_of_order", "busy", "max_rate", "queue_full", "reset")
MS = 1_000_000


def chunk_at(sync: Synchronizer, start_ms: int, ms: int = 100) -> None:
    """Sound from ``start_ms`` on whose values tell its time."""
    times = (start_ms / 1000 + np.arange(ms * 16) / 16000) / RAMP_S
    sync.push(Sound(EPOCH_NS + start_ms * MS, times.astype(np.float32), 16000))


def accounted(counters: dict, waiting: int) -> bool:
    dropped = sum(counters[f"dropped_{reason}"] for reason in DROPS)
    return counters["frames_received"] == counters["frames_paired"] + dropped + waiting


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
    assert (sync.waiting, sync.audio_latest_ns, sync.epoch) == (0, None, 1)
    assert sync.audio_clock() == {}
    counters = sync.counters()
    assert counters["dropped_reset"] == counters["audio_chunks"] == 1
    sync.push(Frame.of(EPOCH_NS + 900 * MS, FRAME))  # no duplicate of a frame before the reset
    assert sync.waiting == 1


def test_a_bad_chunk_disturbs_nothing():
    sync = Synchronizer(window_s=0.1, clock=ManualClock())
    chunk_at(sync, 0)
    with pytest.raises(AudioFormatError):
        sync.push(Sound(EPOCH_NS, np.zeros(10, np.int16), 0))
    sync.push(Frame.of(EPOCH_NS + 100 * MS, FRAME))
    assert sync.poll().complete


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_s", 0.0), ("window_s", 31.0), ("window_s", math.nan), ("offset_s", math.inf),
     ("deadline_s", -1.0), ("deadline_s", math.nan)],
)
def test_settings_out_of_range_are_refused_at_any_time(name, value):
    with pytest.raises(ParameterError):
        Synchronizer(**{name: value})
    sync = Synchronizer()
    with pytest.raises(ParameterError):
        setattr(sync, name, value)


def test_every_counter_is_explained():
    assert set(Synchronizer().counters()) <= set(COUNTERS)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([16000, 44100, 48000]),
    st.floats(-200e-6, 200e-6), st.sampled_from([0.0, 0.02]), st.booleans(), st.integers(0, 2),
)
def test_any_arrival_order_pairs_right_and_loses_no_frame(
    seed, rate, drift, jitter, newest, loops
):
    """Frames and sound come with random delays, some frames late, twice or never."""
    rng = np.random.default_rng(seed)
    clock = ManualClock()
    sync = Synchronizer(window_s=0.5, deadline_s=0.3, clock=clock, max_waiting=16)
    served = []
    for _ in range(loops + 1):
        events = []
        delay_ms = rng.integers(0, 200)
        for chunk in ramp(seed, rate, 2.0, drift=drift, jitter_s=jitter, start_s=1.0):
            end_ms = 1000 + (chunk.first + chunk.samples.size) / rate * 1e3
            events.append((end_ms + delay_ms, chunk))
        arrival = 0.0
        for ms in range(1500, 3200, 33):
            arrival = max(arrival, ms + rng.integers(0, 60))
            for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
                events.append((arrival, ms))
            if rng.random() < 0.1:
                events.append((arrival, ms - int(rng.integers(1, 90))))
        now = 0.0
        for time_ms, event in sorted(events, key=lambda item: item[0]):
            clock.advance((time_ms - now) / 1000)
            now = time_ms
            if isinstance(event, int):
                sync.push(Frame.of(EPOCH_NS + event * MS, FRAME))
            else:
                sync.push(Sound(event.stamp_ns, event.samples, event.rate_hz))
            while (pair := sync.poll_newest() if newest else sync.poll()) is not None:
                served.append(pair)
    assert accounted(sync.counters(), sync.waiting)
    assert len(served) == sync.counters()["frames_paired"] > 10
    for before, after in itertools.pairwise(served):
        assert (before.epoch, before.stamp_ns) < (after.epoch, after.stamp_ns)
    for pair in served:
        assert pair.window.shape == (8000,)
        times = (pair.stamp_ns - EPOCH_NS) * 1e-9 + np.arange(-8000, 0) / 16000
        heard = pair.window != 0
        # Where a resampled run begins or ends the filter rings.
        heard &= (times > 1.0 + jitter + 0.02) & (times < 3.0 - jitter - 0.02)
        error = np.abs(pair.window.astype(np.float64) * RAMP_S - times)[heard]
        assert error.max(initial=0.0) <= jitter + 2 / 16000
        if pair.complete:
            assert pair.sync_error_ms == 0 or pair.sync_error_ms < 1.0


def test_many_threads_may_push_and_poll():
    sync = Synchronizer(window_s=0.05, deadline_s=10.0, max_waiting=None)
    served = []
    failures = []
    done = threading.Event()

    def run(work) -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)

    def sound() -> None:
        for ms in range(0, 2000, 10):
            chunk_at(sync, ms, 10)

    def frames() -> None:
        for ms in range(100, 2000, 5):
            sync.push(Frame.of(EPOCH_NS + ms * MS, FRAME))

    def drain() -> None:
        while not done.is_set() or sync.waiting:
            pair = sync.poll()
            if pair is not None:
                served.append(pair.stamp_ns)
            else:
                with sync.condition:
                    sync.condition.wait(0.01)

    pushers = [threading.Thread(target=run, args=(work,)) for work in (sound, frames)]
    reader = threading.Thread(target=run, args=(drain,))
    for thread in (*pushers, reader):
        thread.start()
    for thread in pushers:
        thread.join(30)
    sync.finish()
    done.set()
    reader.join(30)
    assert not failures and not reader.is_alive()
    assert served == [EPOCH_NS + ms * MS for ms in range(100, 2000, 5)]
