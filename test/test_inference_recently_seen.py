"""What a stream has shown within the last second counts, at any frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from avs_ros.inference.recently_seen import RecentlySeen

SECOND = 1_000_000_000


def test_what_was_seen_counts_for_a_second() -> None:
    lately = RecentlySeen()
    assert lately(0, np.array([0.9, 0.1], np.float32)).tolist() == pytest.approx([0.9, 0.1])
    assert lately(SECOND // 2, np.array([0.2, 0.4])).tolist() == pytest.approx([0.9, 0.4])
    assert lately(SECOND, np.array([0.2, 0.3])).tolist() == pytest.approx([0.9, 0.4])
    assert lately(SECOND + 1, np.array([0.2, 0.3])).tolist() == pytest.approx([0.2, 0.4])
    assert lately(10 * SECOND, np.zeros(2)).tolist() == [0, 0]


def test_a_step_back_in_time_and_a_reset_forget() -> None:
    lately = RecentlySeen()
    lately(SECOND, np.ones(1))
    assert lately(SECOND - 1, np.zeros(1)).tolist() == [0]
    lately(SECOND, np.ones(1))
    lately.reset()
    assert lately(SECOND, np.zeros(1)).tolist() == [0]


@pytest.mark.parametrize("rate", (30, 120))
def test_a_fast_camera_does_not_say_more_than_a_slow_one(rate: int) -> None:
    """A spark in one of very many frames is not what the second shows."""
    rng = np.random.default_rng(0)
    lately, most = RecentlySeen(), []
    for frame in range(4 * rate):
        most.append(lately(frame * SECOND // rate, rng.normal(size=50)).mean())
    # The mean of the largest of eleven: ten remembered ones and the frame itself.
    expected = float(rng.normal(size=(2000, 11)).max(axis=1).mean())
    assert np.mean(most[rate:]) == pytest.approx(expected, abs=0.1)
