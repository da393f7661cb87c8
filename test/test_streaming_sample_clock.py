"""The line through the stamps: offset, drift, jitter."""

import numpy as np
import pytest

from avs_ros.streaming.sample_clock import MAX_DRIFT, SampleClock

EPOCH_NS = 1_700_000_000_000_000_000


def stamped(clock: SampleClock, seconds: float, drift: float, jitter_s: float, seed=0) -> None:
    rng = np.random.default_rng(seed)
    for index in range(0, round(seconds * 16000), 512):
        jitter_ns = rng.uniform(-jitter_s, jitter_s) * 1e9
        true_ns = EPOCH_NS + index / 16000 * (1 + drift) * 1e9
        clock.observe(index, round(true_ns + jitter_ns))


def test_one_stamp_sets_the_time_and_the_nominal_rate():
    clock = SampleClock(16000)
    clock.observe(800, EPOCH_NS)
    assert clock.time_ns(800) == EPOCH_NS
    assert clock.time_ns(16800) == EPOCH_NS + 1_000_000_000
    assert clock.index_at(EPOCH_NS + 500_000_000) == pytest.approx(8800)
    assert clock.lateness_s(16800, EPOCH_NS + 1_010_000_000) == pytest.approx(0.010)


@pytest.mark.parametrize("drift", [-200e-6, -15e-6, 0.0, 200e-6])
def test_exact_stamps_give_the_exact_drift(drift):
    clock = SampleClock(16000)
    stamped(clock, 3.0, drift, 0.0)
    assert clock.drift == pytest.approx(drift, abs=1e-6)
    assert clock.jitter_s <= 1e-6
    for index in (0, 20000, 48000):
        true_ns = index / 16000 * (1 + drift) * 1e9
        assert clock.time_ns(index) - EPOCH_NS == pytest.approx(true_ns, abs=3000)
        assert clock.index_at(clock.time_ns(index)) == pytest.approx(index, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_jitter_is_measured_and_the_drift_found_through_it(seed):
    clock = SampleClock(16000)
    stamped(clock, 40.0, 150e-6, 0.020, seed)
    # Uniform jitter of +-20 ms has a standard deviation of 11.5 ms.
    assert clock.jitter_s == pytest.approx(0.0115, rel=0.35)
    assert clock.drift == pytest.approx(150e-6, abs=150e-6)


def test_a_few_stamps_far_off_hardly_matter():
    clock = SampleClock(16000)
    for i in range(300):
        late_ns = 45_000_000 if i % 40 == 7 else 0
        clock.observe(i * 512, EPOCH_NS + i * 32_000_000 + late_ns)
    assert clock.time_ns(300 * 512) == pytest.approx(EPOCH_NS + 300 * 32_000_000, abs=62_500)


def test_a_drift_beyond_belief_is_limited():
    clock = SampleClock(16000)
    stamped(clock, 5.0, 0.05, 0.0)
    assert clock.drift == MAX_DRIFT


def test_only_the_last_stamps_count():
    clock = SampleClock(16000)
    for i in range(2000):
        step_ns = 30_000_000 if i < 1000 else 0
        clock.observe(i * 512, EPOCH_NS + i * 32_000_000 + step_ns)
    assert clock.time_ns(0) == pytest.approx(EPOCH_NS, abs=1000)


def test_a_step_is_found_once_and_where_it_was():
    clock = SampleClock(16000)
    found = []
    for i in range(200):
        clock.observe(i * 512, EPOCH_NS + i * 32_000_000 + (20_000_000 if i >= 120 else 0))
        step = clock.find_step(0.005)
        if step is not None:
            found.append(step)
            later = clock.split(step, 120 * 512)
            break
    assert found == [120 * 512]
    assert clock.time_ns(0) == pytest.approx(EPOCH_NS, abs=1000)
    assert later.time_ns(0) == pytest.approx(EPOCH_NS + 120 * 32_000_000 + 20_000_000, abs=1000)


def test_jitter_alone_is_no_step():
    for seed in range(3):
        clock = SampleClock(16000)
        rng = np.random.default_rng(seed)
        for i in range(600):
            jitter_ns = round(rng.uniform(-20e6, 20e6))
            clock.observe(i * 512, EPOCH_NS + i * 32_000_000 + jitter_ns)
            assert clock.find_step(0.005) is None
