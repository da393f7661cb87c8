"""Stamps that come late, jitter or wander: what is a gap in the sound, and what is none."""

import math

import numpy as np
import pytest
from sound_source import EPOCH_NS, PERIOD_S, RAMP_S, window_times

from avs_ros.streaming.audio_buffer import AudioBuffer


@pytest.mark.parametrize("jitter_s", [0.0, 0.002, 0.010])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_loss_that_hides_in_the_jitter_is_put_right_in_hindsight(jitter_s, rate):
    rng = np.random.default_rng(3)
    buffer = AudioBuffer()
    size = rate * 32 // 1000
    ramp_values = (np.arange(200 * size) / rate / RAMP_S).astype(np.float32)
    for i in range(200):
        if i == 100:
            continue
        stamp = EPOCH_NS + i * 32_000_000 + round(rng.uniform(-jitter_s, jitter_s) * 1e9)
        buffer.push(stamp, ramp_values[i * size : (i + 1) * size], rate)
    assert buffer.counters["audio_gaps"] == 1
    gap_s = buffer.counters["audio_gap_samples"] / 16000
    assert gap_s == pytest.approx(0.032, abs=0.001 + jitter_s / 2)
    end_ns = EPOCH_NS + round(100 * 32e6 + 0.5e9)
    window = buffer.window(end_ns, 1.0)
    captured = window.samples.astype(np.float64) * RAMP_S
    times = window_times(end_ns, 16000)
    for a, b in ((3.0 - 0.1, 3.2 - 0.02), (3.232 + 0.02, 3.6)):
        inside = (times > a) & (times < b)
        assert np.abs(captured - times)[inside].max() <= jitter_s / 2 + 2 * PERIOD_S


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("late_ms", [[80], [150, 120, 90], [3_600_000]])
def test_a_few_late_stamps_are_no_gap(rate, late_ms):
    buffer = AudioBuffer()
    size = rate * 32 // 1000
    values = (np.arange(100 * size) / rate / RAMP_S).astype(np.float32)
    for i in range(100):
        late = late_ms[i - 50] if 50 <= i < 50 + len(late_ms) else 0
        stamp = EPOCH_NS + (i * 32 + late) * 1_000_000
        buffer.push(stamp, values[i * size : (i + 1) * size], rate)
    buffer.flush()
    assert buffer.counters["audio_late_stamps"] == len(late_ms)
    assert buffer.counters["audio_gaps"] == buffer.counters["audio_gap_samples"] == 0
    assert buffer.counters["audio_restarts"] == buffer.counters["audio_overlaps"] == 0
    end_ns = EPOCH_NS + 3_200_000_000
    window = buffer.window(end_ns, 3.0)
    assert window.complete
    error = np.abs(window.samples.astype(np.float64) * RAMP_S - window_times(end_ns, 48000))
    seam = slice(0, 0) if rate == 16000 else slice(22400 - 300, 22400 + 300)  # filters ring there
    error[seam] = 0
    assert error[:-300].max() <= 1.5 * PERIOD_S


def test_slow_wander_of_the_stamps_is_no_loss():
    buffer = AudioBuffer()
    for i in range(600):
        wander_s = 0.010 * math.sin(2 * math.pi * i / 100)
        buffer.push(EPOCH_NS + i * 100_000_000 + round(wander_s * 1e9), np.zeros(1600), 16000)
    assert buffer.counters["audio_gaps"] == buffer.counters["audio_overlaps"] == 0
