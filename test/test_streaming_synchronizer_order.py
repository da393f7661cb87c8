"""Whatever order frames and sound arrive in, each frame meets its sound or is counted."""

import itertools
import threading

import numpy as np
from fakes import ManualClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sound_source import EPOCH_NS, RAMP_S, chunk_at, ramp

from avs_ros.streaming import Frame, Sound, Synchronizer

FRAME = np.zeros((2, 3, 3), np.uint8)
MS = 1_000_000
DROPS = ("duplicate", "out_of_order", "busy", "max_rate", "queue_full", "reset")


def accounted(counters: dict, waiting: int) -> bool:
    dropped = sum(counters[f"dropped_{reason}"] for reason in DROPS)
    return counters["frames_received"] == counters["frames_paired"] + dropped + waiting


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
