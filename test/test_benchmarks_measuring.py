"""Samples are taken in turns, and ratios belong to rounds."""

from __future__ import annotations

import pytest

from avs_ros.benchmarks.measuring import summarise, take_turns


def test_each_round_serves_everyone_and_another_begins():
    calls: list[tuple[str, int]] = []

    def step_of(name):
        def step(turn):
            calls.append((name, turn))
            return 10.0 * turn + len(name)

        return step

    ticks: list[int] = []
    samples = take_turns({n: step_of(n) for n in ("a", "bb", "ccc")}, 3, lambda: ticks.append(1))
    assert [name for name, _ in calls] == ["a", "bb", "ccc", "bb", "ccc", "a", "ccc", "a", "bb"]
    assert [turn for _, turn in calls] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert samples == {"a": [1, 11, 21], "bb": [2, 12, 22], "ccc": [3, 13, 23]}
    assert len(ticks) == 9


def test_ratio_is_of_rounds_not_of_medians():
    # The machine becomes ten times slower and recovers; the second form is busy elsewhere once.
    samples = {"plain": [100, 1000, 120, 110, 90], "fast": [10, 100, 12, 1000, 9]}
    found = summarise(samples, "plain")
    assert found["fast"].ratio == pytest.approx(10.0)
    assert found["fast"].ratio_low == pytest.approx(10.0)
    assert found["fast"].median == 12 and found["plain"].median == 110
    assert found["fast"].best == 9 and found["fast"].samples == (10, 100, 12, 1000, 9)
    assert found["plain"].ratio == 1.0
