"""The time of every sample, from the stamps of the chunks that brought them."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

MAX_DRIFT = 1e-3  # share; ten times a poor sound card, so only a wrong rate reaches it
_DRIFT_SD = 150e-6  # what sound cards are off by, before anything is known about this one
_HISTORY, _HISTORY_S = 1024, 30.0  # chunks, and their age, that the line is drawn through at most
_SIGMA_FLOOR_S = 1e-6
_HUBER = 2.5  # standard deviations of jitter past which a stamp counts less
_FEW = 16  # chunks
_REFIT = 64  # a new line after every 64th part of the history: it hardly moves in between
_GROUP = 16  # chunks on each side of a suspected step
_EDGE = 3  # chunks on each side that tell a step from a slow wander
_STEP_SIGMAS = 6.0


class SampleClock:
    """Line through (sample index, header stamp) pairs of one unbroken run of samples.

    The sender's converter is steady but off by an unknown share (drift); its stamps are right on
    average but each one is early or late (jitter).  So the line ``time = offset + (1 + drift) *
    index / rate`` is drawn through the stamps of the last 30 seconds by least squares:
    stamps far off the line count less (Huber weights), the drift is pulled towards ``drift`` as
    strongly as the measured jitter makes it uncertain, and is never past +-1000 ppm.

    What to expect, with stamps off by at most J around the true time: the error of
    :meth:`time_ns` for indices inside the run is at most about J from the first chunk on, falls
    as 2 J / sqrt(3 N) (standard deviation, uniform jitter, N chunks of history), and is below one
    sample period when J is 0.  A constant delay of all stamps cannot be seen from here; it is what
    ``audio_stamp_offset`` is for.
    """

    def __init__(self, rate_hz: float, *, drift: float = 0.0) -> None:
        """Expect ``rate_hz`` (nominal), with ``drift`` (share) as the first guess."""
        self.rate_hz = float(rate_hz)
        self.drift = float(drift)
        self._prior_drift = float(drift)
        self._base_ns = 0
        self._offset_s = 0.0
        self.observations = 0  # stamps taken in since the start
        self._unfitted = 0
        # Of each stamp: nominal time of its sample, and how much later it is (s).
        self._stamps: list[tuple[float, float]] = []
        self.jitter_s = 0.0

    def observe(self, index: float, stamp_ns: int) -> None:
        """Take in that sample ``index`` was stamped ``stamp_ns``; indices rise."""
        if self.observations == 0:
            self._base_ns = stamp_ns
        x = index / self.rate_hz
        self._stamps.append((x, (stamp_ns - self._base_ns) * 1e-9 - x))
        self.observations += 1
        while len(self._stamps) > _HISTORY or self._stamps[0][0] < x - _HISTORY_S:
            del self._stamps[0]
        self._unfitted += 1
        if self._unfitted > len(self._stamps) // _REFIT:
            self._unfitted = 0
            self._fit()

    def find_step(self, floor_s: float) -> float | None:
        """A lasting jump of the stamps that is too small to be told from jitter at once.

        Compares the last stamps, 16 on each side of every recent chunk.  Returns the index of the
        first sample after a jump of more than ``floor_s`` and 6 standard deviations, or None.
        Slow wandering of the stamps is not a jump.
        """
        known = len(self._stamps)
        span = min(known - 2 * _GROUP, known // _REFIT + _GROUP)
        if span < 2:
            return None
        x, y = np.array(self._stamps[-2 * _GROUP - span :]).T
        y = y - self.drift * x
        sums = np.concatenate([[0.0], np.cumsum(y)])
        means = (sums[_GROUP:] - sums[:-_GROUP]) / _GROUP
        jumps = means[_GROUP:] - means[:-_GROUP]
        best = int(np.argmax(np.abs(jumps)))
        size = float(jumps[best])
        least = max(floor_s, _STEP_SIGMAS * self.jitter_s * np.sqrt(2.0 / _GROUP))
        if abs(size) < least or best == jumps.size - 1:  # at the end it may still be growing
            return None
        at = best + _GROUP
        edge = float(np.mean(y[at : at + _EDGE]) - np.mean(y[at - _EDGE : at]))
        middle = float(np.median(y[at : at + _GROUP]) - np.median(y[at - _GROUP : at]))
        if edge / size < 0.7 or middle / size < 0.5:  # a wander, or a few stamps far off
            return None
        return float(x[at] * self.rate_hz)

    def split(self, index: float, start: int) -> SampleClock:
        """Give the stamps from ``index`` on to a new clock, whose samples count from ``start``.

        Both draw their lines anew; the new one has this one's drift as first guess.
        """
        cut = bisect_left(self._stamps, ((index - 0.5) / self.rate_hz,))
        moved, self._stamps = self._stamps[cut:], self._stamps[:cut]
        if self._stamps:
            self._fit()
        later = SampleClock(self.rate_hz, drift=self.drift)
        for x, y in moved:
            later.observe(x * self.rate_hz - start, self._base_ns + round((y + x) * 1e9))
        return later

    def _fit(self) -> None:
        x, y = np.array(self._stamps).T
        sigma = _SIGMA_FLOOR_S
        if x.size >= 2:
            steps = np.diff(y) - self._prior_drift * np.diff(x)
            if x.size < _FEW:  # too few for a median: every step may be the jitter
                spread = float(np.sqrt(np.mean(np.square(steps))))
            else:
                spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
            sigma = max(sigma, spread / np.sqrt(2.0))
        self.jitter_s = float(sigma)
        # The pull towards the expected drift: variance of a stamp over variance of the drift.
        ridge = (sigma / _DRIFT_SD) ** 2
        weight = np.ones_like(x)
        for _ in range(3):
            total = float(weight.sum())
            mean_x = float(weight @ x) / total
            mean_y = float(weight @ y) / total
            dx = x - mean_x
            sxx = float(weight @ (dx * dx))
            sxy = float(weight @ (dx * (y - mean_y)))
            slope = (sxy + ridge * self._prior_drift) / (sxx + ridge)
            slope = min(MAX_DRIFT, max(-MAX_DRIFT, slope))
            residual = np.abs(y - mean_y - slope * dx)
            far = _HUBER * sigma
            if not np.any(residual > far):
                break
            weight = far / np.maximum(residual, far)
        self.drift = slope
        self._offset_s = mean_y - slope * mean_x

    def time_ns(self, index: float) -> int:
        """Time (ns, the stamps' clock) at which sample ``index`` begins."""
        x = index / self.rate_hz
        return self._base_ns + round((x + self._offset_s + self.drift * x) * 1e9)

    def index_at(self, time_ns: int) -> float:
        """Fractional sample index at ``time_ns``; the inverse of :meth:`time_ns`."""
        t = (time_ns - self._base_ns) * 1e-9
        return (t - self._offset_s) / (1.0 + self.drift) * self.rate_hz

    def lateness_s(self, index: float, stamp_ns: int) -> float:
        """How much later (s) ``stamp_ns`` is than the line says for sample ``index``."""
        return (stamp_ns - self.time_ns(index)) * 1e-9
