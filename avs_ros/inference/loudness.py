"""Whether what sounded in a window has ended."""

from __future__ import annotations

import numpy as np

from avs_ros.segmentation import Float
from avs_ros.sound import level_dbfs

# A sound has ended where it stays this far below the window's loudest moment.
RELEASE_DB = 30.0
# A window's loudest moment counts for this much longer.
REMEMBERED_NS = 1_000_000_000
# No sound is fainter: digital silence has a level, too, that others can be compared with.
FAINTEST_DBFS = -120.0
# Moments are 50 ms long, at 16 kHz.
BLOCK = 800


class Ending:
    """Whether what sounded in one stream has ended.

    It has where the last ``release`` samples of a window are silent against the loudest moment of
    that window, or of those shortly before: when the loudest moment has left the window, what
    still fades away in it must not start again.  ``release`` is taken in whole moments of 50 ms,
    one at least, and may be set at any time; 0 samples never tell.
    """

    def __init__(self, release: int) -> None:
        self.release = release
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._last_ns: int | None = None
        self._peaks: list[tuple[int, float]] = []

    def __call__(self, stamp_ns: int, window: Float) -> bool:
        """Judge the second that ends at ``stamp_ns``; its length is a multiple of ``BLOCK``."""
        if self.release <= 0:
            return False
        last, self._last_ns = self._last_ns, stamp_ns
        if last is None or not 0 <= stamp_ns - last < REMEMBERED_NS:
            self._peaks.clear()
        blocks = np.square(window).reshape(-1, BLOCK).mean(axis=1)
        self._peaks.append((stamp_ns, float(blocks.max())))
        self._peaks = [p for p in self._peaks if stamp_ns - p[0] <= REMEMBERED_NS]
        tail = float(blocks[-max(1, self.release // BLOCK) :].max())
        loudest = max(power for _, power in self._peaks)
        return tail < loudest * 10 ** (-RELEASE_DB / 10)


class Loudest:
    """How far a stream's last second is below the loudest one of the last ``memory_s``, in dB."""

    def __init__(self, memory_s: float = 10.0) -> None:
        self._memory_ns = int(memory_s * 1e9)
        self._levels: list[tuple[int, float]] = []

    def reset(self) -> None:
        """Forget the past."""
        self._levels.clear()

    def drop_db(self, stamp_ns: int, window: Float) -> float:
        """0 for the loudest second, less for others; a jump in time forgets the past."""
        if self._levels and not 0 <= stamp_ns - self._levels[-1][0] < self._memory_ns:
            self._levels.clear()
        self._levels.append((stamp_ns, max(level_dbfs(window), FAINTEST_DBFS)))
        self._levels = [one for one in self._levels if stamp_ns - one[0] <= self._memory_ns]
        return self._levels[-1][1] - max(level for _, level in self._levels)
