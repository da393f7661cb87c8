"""The last seconds of a stream, out of the seconds that its frames come with."""

from __future__ import annotations

import numpy as np

from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE


class RecentSound:
    """One stream's last ``seconds`` at 16 kHz, put together from windows of one second.

    Where less of it is known (a stream that begins, or frames more than a second apart), what is
    known is repeated: silence before it would be heard as a part of the sound.  ``reach_s``: no
    more than this is taken, but the window at least; may be set at any time.
    """

    def __init__(self, seconds: int) -> None:
        self.reach_s = float(seconds)
        self._samples = seconds * SAMPLE_RATE
        self._known = np.zeros(0, np.float32)
        self._end: int | None = None

    def reset(self) -> None:
        """Forget the past."""
        self._end = None

    def __call__(self, stamp_ns: int, window: Float) -> Float:
        """``window`` float32 ``[16000]`` ends at ``stamp_ns`` -> float32 ``[seconds * 16000]``.

        A step back in time, or one of more than a second, forgets the past.
        """
        # Of the stamps themselves: differences that are rounded one by one would add up.
        end = stamp_ns * SAMPLE_RATE // 1_000_000_000
        more = None if self._end is None else end - self._end
        if more is None or not 0 <= more <= len(window):
            self._known = window
        else:
            before = self._known[: len(self._known) - len(window) + more]
            self._known = np.concatenate([before, window])[-self._samples :]
        self._end = end
        reach = max(round(self.reach_s * SAMPLE_RATE), len(window))
        return repeated(self._known[-reach:], self._samples)


def repeated(sound: Float, samples: int) -> Float:
    """The end of ``sound``, repeated until there are so many ``samples``."""
    times = -(-samples // len(sound))
    return np.tile(sound, times)[-samples:] if times > 1 else sound[-samples:]
