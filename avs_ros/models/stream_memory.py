"""What a stream remembers of its past: one state per frame, found again by its age."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

SECOND_NS = 1_000_000_000


class StreamMemory:
    """States of past frames, bounded in time and number.

    A clip's frames are one second apart.  A live stream is faster, so the clip of a new frame
    is made of the earlier frames nearest to 1, 2, ..., T - 1 seconds before it; one that is more
    than half a second off is not there (start of the stream, a gap), and the clip is shorter.

    ``shape``: of one state; ``frames_per_clip``: T; ``capacity``: most states ever kept.  Faster
    streams than that allows for keep evenly spaced ones.  ``rows``: states that :meth:`recall`
    gives, T - 1, but at least one (engines take no empty arrays; for T = 1 its share is 0).
    """

    def __init__(
        self, shape: tuple[int, ...], frames_per_clip: int = 5, capacity: int = 256
    ) -> None:
        self._shape = shape
        self._clip = frames_per_clip
        self.rows = max(frames_per_clip - 1, 1)
        self._reach_ns = (frames_per_clip - 1) * SECOND_NS + SECOND_NS // 2
        self._spacing_ns = self._reach_ns // max(capacity - 1, 1)
        # With their stamps, oldest first.
        self._states: deque[tuple[int, NDArray[np.float32]]] = deque()

    def __len__(self) -> int:
        return len(self._states)

    def reset(self) -> None:
        """Forget everything."""
        self._states.clear()

    def recall(self, stamp_ns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Past states ``[rows, *shape]`` for a frame at ``stamp_ns``, and shares ``[rows + 1]``.

        Rows that are not there are zero with share 0; the others, and the new frame's own
        (last), have share 1 / (their number).  Frames at or after ``stamp_ns`` are not used.
        """
        past = np.zeros((self.rows, *self._shape), dtype=np.float32)
        shares = np.zeros(self.rows + 1, dtype=np.float32)
        shares[-1] = 1.0
        for back in range(1, self._clip):
            state = self._nearest(stamp_ns - back * SECOND_NS, stamp_ns)
            if state is not None:
                past[back - 1] = state
                shares[back - 1] = 1.0
        shares /= shares.sum()
        return past, shares

    def remember(self, stamp_ns: int, state: NDArray[np.float32]) -> None:
        """Keep the state of the frame at ``stamp_ns``; what it is too late for is dropped."""
        while self._states and self._states[-1][0] >= stamp_ns:
            self._states.pop()
        if self._states and stamp_ns - self._states[-1][0] < self._spacing_ns:
            return
        self._states.append((stamp_ns, np.array(state, dtype=np.float32)))
        while self._states[0][0] < stamp_ns - self._reach_ns:
            self._states.popleft()

    def _nearest(self, target_ns: int, before_ns: int) -> NDArray[np.float32] | None:
        place = bisect_left(self._states, target_ns, key=itemgetter(0))
        best, distance = None, SECOND_NS // 2 + 1
        for index in range(max(place - 1, 0), min(place + 1, len(self._states))):
            at_ns, state = self._states[index]
            if at_ns < before_ns and abs(at_ns - target_ns) < distance:
                best, distance = state, abs(at_ns - target_ns)
        return best
