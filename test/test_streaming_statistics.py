"""Rolling figures."""

import math

import numpy as np
import pytest

from avs_ros.streaming.timing import RateMeter, RollingPercentiles


def test_percentiles_are_of_the_last_values_only():
    rolling = RollingPercentiles(size=100)
    for value in [1e9] * 50 + list(range(101)):
        rolling.add(value)
    found = rolling.percentiles()
    assert found["max"] == 100
    assert found["p50"] == np.percentile(range(1, 101), 50)
    assert found["p90"] == np.percentile(range(1, 101), 90)
    assert rolling.mean() == pytest.approx(50.5)
    none = RollingPercentiles()
    assert math.isnan(none.percentiles()["p99"]) and math.isnan(none.mean())


def test_the_rate_falls_when_nothing_comes_any_more():
    meter = RateMeter(span_s=2.0)
    assert meter.rate(0) == 0
    for i in range(100):
        meter.add(i * 50_000_000)
    last_ns = 99 * 50_000_000
    assert meter.rate(last_ns) == pytest.approx(20.0)
    assert meter.rate(last_ns + 1_000_000_000) == pytest.approx(10.0)
    assert meter.rate(last_ns + 3_000_000_000) == 0
