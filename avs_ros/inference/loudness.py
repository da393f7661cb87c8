"""How loud a window of sound is, and whether what sounded in it has ended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError
from avs_ros.segmentation import Float

# A sound has ended where it stays this far below the window's loudest moment.
RELEASE_DB = 30.0
# A window's loudest moment counts for this much longer.
REMEMBERED_NS = 1_000_000_000
# Moments are 50 ms long, at 16 kHz.
BLOCK = 800
# Floats this far out are on another scale: one of them in a window, so many in a stream, where a
# stray value is no more than that.
FAR_PAST_FULL_SCALE, STRAY_SHARE = 4.0, 0.1


def check_scale(samples: NDArray[Any], stray_share: float = 0.0) -> None:
    """Raise :class:`AudioFormatError` for floats on the scale of integers (+-32768).

    ``stray_share``: share of the samples that may lie that far out.  Real overshoot stays below;
    clipped, such sound would be noise at full scale.
    """
    with np.errstate(invalid="ignore"):
        far = np.count_nonzero(np.isfinite(samples) & (np.abs(samples) > FAR_PAST_FULL_SCALE))
    if far > stray_share * samples.size:
        peak = np.max(np.abs(samples[np.isfinite(samples)]), initial=0.0)
        raise AudioFormatError(
            f"float samples up to {peak:.6g}: floats must be -1..1; divide by the full scale of "
            "the integers (32768 for 16 bits), or hand the integers over as they are"
        )


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
