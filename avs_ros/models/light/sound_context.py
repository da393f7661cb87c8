"""Up to three seconds of hearing for the label; one second for whether anything sounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from avs_ros.segmentation import Float

SoundClasses = Callable[[Float], Float]


class SoundContext:
    """Mean of the AudioSet logits of the windows that belong to the sound heard now.

    The window itself spans one second, so windows of the last ``reach_s`` make a context of
    ``reach_s + 1`` seconds.  It is forgotten when the level falls below ``silence_dbfs`` and when
    the window by itself names another category with a clear margin: a new sound is not judged by
    the old one.  ``reach_s`` and ``silence_dbfs`` may be set at any time.
    """

    def __init__(
        self, reach_s: float = 2.0, margin: float = 2.0, silence_dbfs: float = -60.0
    ) -> None:
        self.reach_s = reach_s
        self.silence_dbfs = silence_dbfs
        self._margin = margin
        self._past: deque[tuple[int, Float]] = deque()

    def reset(self) -> None:
        """Forget everything heard."""
        self._past.clear()

    def hear(
        self, stamp_ns: int, logits: Float, level_dbfs: float, categories: SoundClasses
    ) -> tuple[Float, Float]:
        """Category evidence ``[K]`` to judge by, and the AudioSet logits ``[527]`` it rests on.

        ``categories``: AudioSet logits -> category evidence.
        """
        now = categories(logits)
        if level_dbfs < self.silence_dbfs:
            self._past.clear()
            return now, logits
        past = self._mean(stamp_ns)
        if past is not None:
            before = categories(past)
            if _contradicts(now, before, self._margin):
                self._past.clear()
        self._past.append((stamp_ns, logits))
        mean = self._mean(stamp_ns)
        if mean is None or len(self._past) == 1:
            return now, logits
        context = categories(mean)
        # A sound that fades must be able to end before the context has forgotten it.
        return np.asarray(np.minimum(0.5 * (now + context), now.max() + 0.5)), mean

    def _mean(self, stamp_ns: int) -> Float | None:
        reach_ns = int(self.reach_s * 1e9)
        while self._past and self._past[0][0] < stamp_ns - reach_ns:
            self._past.popleft()
        if not self._past:
            return None
        return np.asarray(np.mean([logits for _, logits in self._past], axis=0))


def _contradicts(now: Float, before: Float, margin: float) -> bool:
    best, old = int(now.argmax()), int(before.argmax())
    return best != old and now[best] > 0 and float(now[best] - now[old]) > margin
