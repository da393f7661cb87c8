"""What a stream has shown of each category within the last second.

Whoever plays turns the instrument away and back, and a blurred frame shows nothing: a category is
as visible as it was at its best a moment ago.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from avs_ros.segmentation import Float

REMEMBERED_NS = 1_000_000_000
# Frames nearer than this are not all remembered: a fast camera shall not say more than a slow one.
SPACING_NS = 100_000_000


class RecentlySeen:
    """The largest values of one stream's last second."""

    def __init__(self) -> None:
        self._past: deque[tuple[int, Float]] = deque()

    def reset(self) -> None:
        """Forget the past."""
        self._past.clear()

    def __call__(self, stamp_ns: int, now: Float) -> Float:
        """``now``: what the frame at ``stamp_ns`` shows, of any shape; the largest of each place
        since a second ago.  A step back in time forgets the past.
        """
        past = self._past
        if past and stamp_ns < past[-1][0]:
            past.clear()
        while past and stamp_ns - past[0][0] > REMEMBERED_NS:
            past.popleft()
        most = np.maximum.reduce([now, *(values for _, values in past)])
        if not past or stamp_ns - past[-1][0] >= SPACING_NS:
            past.append((stamp_ns, now))
        return np.asarray(most, np.float32)
