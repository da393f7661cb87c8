"""Samples keep their numbers until they are overwritten."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from avs_ros.streaming.audio_run import SampleRing


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.lists(st.integers(0, 120), max_size=12))
def test_the_newest_samples_are_held_in_order(capacity, sizes):
    ring = SampleRing(capacity)
    written = np.zeros(0, np.float32)
    for size in sizes:
        chunk = np.arange(written.size, written.size + size, dtype=np.float32)
        ring.write(chunk)
        written = np.concatenate([written, chunk])
        assert ring.end == written.size and ring.start == max(0, written.size - capacity)
        np.testing.assert_array_equal(ring.read(ring.start, ring.end), written[ring.start :])
        middle = (ring.start + ring.end) // 2
        np.testing.assert_array_equal(ring.read(middle, ring.end), written[middle:])
