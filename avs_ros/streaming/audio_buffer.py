"""The last seconds of sound, addressed by time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ParameterError
from avs_ros.sound import SAMPLE_RATE, dbfs
from avs_ros.streaming import pcm
from avs_ros.streaming.audio_run import Run, SampleRing, StreamResampler
from avs_ros.streaming.sample_clock import SampleClock

Float = NDArray[np.float32]
GAP_S = 0.05  # a stamp that is further off is no jitter
JUMP_BACK_S = 0.5  # sound, or a frame, this much older than the newest begins the stream anew
_FEW_STAMPS = 8  # after so many a gap is a gap

# counter -> what it counts; diagnostics print these words
AUDIO_COUNTERS: dict[str, str] = {
    "audio_chunks": "chunks of sound received",
    "audio_samples": "samples received (per channel)",
    "audio_empty": "chunks without a sample, ignored",
    "audio_duplicates": "chunks received twice, dropped",
    "audio_gaps": "gaps in the sound, filled with zeros",
    "audio_gap_samples": "zeros filled into gaps (buffer rate)",
    "audio_overlaps": "chunks that began before the end of the sound already heard",
    "audio_overlap_samples": "samples dropped because that time was already heard",
    "audio_late_stamps": "late stamps that first looked like a gap",
    "audio_restarts": "restarts after a jump back in time",
    "audio_format_changes": "changes of the sample rate",
    "audio_nonfinite": "NaN or infinite samples, set to zero",
    "audio_clipped": "samples past full scale, clipped",
}


@dataclass(frozen=True)
class AudioWindow:
    """Sound between two times.

    ``samples``: float32 ``[n]``, mono, [-1, 1]; the last one ends at ``end_ns``; zeros where
    nothing was heard.  ``coverage``: share of them really heard, 0..1.  ``complete``: all were
    heard (but for two at the seams, which rounding may cost).  ``level_dbfs``: RMS of what was
    heard, in dB of full scale (a full-scale square wave is 0); -inf for digital silence or none.
    """

    samples: Float
    coverage: float
    complete: bool
    level_dbfs: float


class AudioBuffer:
    """Ring buffer of mono float32 at ``rate_hz``, on a clock steadied against the stamps' jitter.

    What it promises, for samples it accepts:

    - **Content.** The samples of an unbroken run are kept in order, each exactly once: none lost,
      none repeated, whatever the chunk sizes and the jitter (while jitter stays below
      ``GAP_S`` / 2 around the sender's steady clock).  Stamps never move samples against each
      other inside a run.
    - **Placement.** :meth:`window` puts every sample within one sample period of the time that
      the run's :class:`SampleClock` gives it, along the whole window, sender's drift included:
      where the drift would add up to more than one sample over the window, the window is read
      with band-limited interpolation at the sender's rate, otherwise it is the very samples.
    - **Clock.** The :class:`SampleClock` itself is off the true capture time by less than one
      sample period when stamps are exact, and otherwise by what their jitter allows (see there):
      no estimator can place sound better than stamps of +-20 ms allow, but it converges.

    A stamp more than ``GAP_S`` late means that sound is missing: a new run begins where the stamp
    says, and the time between stays zero.  Should the next few stamps fit the old run again, only
    the stamp was wrong, and the runs are joined.  A stamp more than ``GAP_S`` early means that
    this time was heard already: the overlapping samples are dropped.  A smaller loss, hidden in
    the jitter, is found from the stamps of the 16 to 32 chunks after it, and put right in
    hindsight.  A chunk that ends more than ``JUMP_BACK_S`` before the newest sound starts
    everything anew (bag loop).
    Not thread-safe: :class:`Synchronizer` guards it.
    """

    def __init__(self, rate_hz: int = SAMPLE_RATE, capacity_s: float = 30.0) -> None:
        """Hold ``capacity_s`` seconds (at least one sample) at ``rate_hz``."""
        self.rate_hz = int(pcm.check_rate(rate_hz))
        self.capacity_s = capacity_s
        self.counters: dict[str, int] = dict.fromkeys(AUDIO_COUNTERS, 0)
        self._ring = SampleRing(round(capacity_s * self.rate_hz))
        self._runs: deque[Run] = deque()

    def reset(self) -> None:
        """Forget all sound; the counters stay."""
        self._runs.clear()

    @property
    def latest_ns(self) -> int | None:
        """End of the newest sample that a window can have; None before the first."""
        return self._runs[-1].end_ns if self._runs else None

    def restarts(self, stamp_ns: int, count: int, rate_hz: float) -> bool:
        """Whether ``count`` samples from ``stamp_ns`` on would start everything anew."""
        run = self._runs[-1] if self._runs else None
        if run is None or count == 0 or not rate_hz > 0:
            return False
        late = run.clock.lateness_s(run.next_index, stamp_ns)
        return late + count / rate_hz < -JUMP_BACK_S

    def push(self, stamp_ns: int, samples: NDArray[Any], rate_hz: float) -> None:
        """Take a chunk whose first sample was captured at ``stamp_ns``.

        ``samples``: int8, int16, int32, uint8 or float, ``[n]`` or ``[n, channels]``.  Raises
        :class:`AudioFormatError` for an impossible rate, shape or type (nothing is changed then).
        """
        rate = pcm.check_rate(rate_hz)
        mono, nonfinite, clipped = pcm.to_mono(samples)
        self.counters["audio_chunks"] += 1
        self.counters["audio_samples"] += mono.size
        self.counters["audio_nonfinite"] += nonfinite
        self.counters["audio_clipped"] += clipped
        if mono.size == 0:
            self.counters["audio_empty"] += 1
            return
        run = self._runs[-1] if self._runs else None
        if run is None:
            self._append(self._begin(rate), stamp_ns, mono)
            return
        if stamp_ns == run.last_stamp_ns and np.array_equal(mono, run.last_chunk):
            self.counters["audio_duplicates"] += 1
            return
        late = run.clock.lateness_s(run.next_index, stamp_ns)
        if late < -GAP_S and self._revoke_gap(run, stamp_ns):
            run = self._runs[-1]
            late = run.clock.lateness_s(run.next_index, stamp_ns)
        if self.restarts(stamp_ns, mono.size, rate):
            self.counters["audio_restarts"] += 1
            self._runs.clear()
            run = self._begin(rate)
        elif rate != run.rate_in:
            self.counters["audio_format_changes"] += 1
            self.flush()
            run = self._begin(rate)
        elif late < -GAP_S:
            self._overlap(run, late, mono, stamp_ns)
            return
        elif late > GAP_S:
            zeros = round(min(late, self.capacity_s) * self.rate_hz)
            self.counters["audio_gaps"] += 1
            self.counters["audio_gap_samples"] += zeros
            self.flush()
            run = self._begin(rate, run.clock.drift)
            run.gap_samples = zeros
        elif run.resampler.ended:
            run = self._begin(rate, run.clock.drift)
        self._append(run, stamp_ns, mono)

    def flush(self) -> None:
        """No more sound comes: make the newest samples, held back by the resampler, available."""
        if self._runs:
            run = self._runs[-1]
            self._write(run, run.resampler.flush())

    def window(self, end_ns: int, duration_s: float) -> AudioWindow:
        """The ``round(duration_s * rate_hz)`` samples that end at ``end_ns``.

        Raises :class:`ParameterError` for a duration below one sample or past the capacity.
        """
        n = round(duration_s * self.rate_hz)
        if not 1 <= n <= round(self.capacity_s * self.rate_hz):
            raise ParameterError(
                f"window of {duration_s} s; must be at least one sample and at most the "
                f"{self.capacity_s} s that are kept"
            )
        out = np.zeros(n, dtype=np.float32)
        heard = np.zeros(n, dtype=bool)
        start_ns = end_ns - round(n * 1e9 / self.rate_hz)
        for run in self._runs:
            run.read(self._ring, start_ns, end_ns, out, heard)
        count = int(np.count_nonzero(heard))
        power = float(np.mean(np.square(out[heard], dtype=np.float64))) if count else 0.0
        return AudioWindow(out, count / n, n - count <= 2, dbfs(power))

    def _begin(self, rate: float, drift: float = 0.0) -> Run:
        clock = SampleClock(self.rate_hz, drift=drift)
        end = self._ring.end
        run = Run(end, end, rate, clock, StreamResampler(rate, self.rate_hz))
        self._runs.append(run)
        return run

    def _append(self, run: Run, stamp_ns: int, mono: Float) -> None:
        """Add ``mono`` to the run, and its stamp to the run's clock."""
        run.clock.observe(run.next_index, stamp_ns)
        self._store(run, stamp_ns, mono)
        index = run.clock.find_step(0.1 * GAP_S)
        if index is not None:
            # Less sound was lost there than the jitter could show: a new run begins.
            later, missing_s = run.split(index)
            name = "audio_gap" if missing_s > 0 else "audio_overlap"
            self.counters[f"{name}s"] += 1
            self.counters[f"{name}_samples"] += round(abs(missing_s) * self.rate_hz)
            self._runs.append(later)

    def _revoke_gap(self, run: Run, stamp_ns: int) -> bool:
        """Whether the gap before ``run`` was none: ``stamp_ns`` fits the run before it again.

        A stamp or a few were late, as after a hiccup of the sender; no sound was missing.
        """
        if len(self._runs) < 2 or not run.gap_samples or run.clock.observations > _FEW_STAMPS:
            return False
        before = self._runs[-2]
        index = before.end - before.start + run.next_index
        if abs(before.clock.lateness_s(index, stamp_ns)) > GAP_S:
            return False
        self.counters["audio_late_stamps"] += run.clock.observations
        self.counters["audio_gaps"] -= 1
        self.counters["audio_gap_samples"] -= run.gap_samples
        before.join(run)
        self._runs.pop()
        return True

    def _overlap(self, run: Run, late: float, mono: Float, stamp_ns: int) -> None:
        """Drop the part of a chunk whose time was heard already, keep the rest."""
        drop = min(mono.size, round(-late * run.rate_in))
        self.counters["audio_overlaps"] += 1
        self.counters["audio_overlap_samples"] += drop
        if drop == mono.size:
            return
        if run.resampler.ended:
            rest_ns = stamp_ns + round(drop * 1e9 / run.rate_in)
            self._append(self._begin(run.rate_in, run.clock.drift), rest_ns, mono[drop:])
        else:
            # Not observed: where the rest begins was taken from the clock, so it tells it nothing.
            self._store(run, stamp_ns, mono[drop:])

    def _store(self, run: Run, stamp_ns: int, mono: Float) -> None:
        run.fed += mono.size
        run.last_stamp_ns, run.last_chunk = stamp_ns, mono
        self._write(run, run.resampler.process(mono))

    def _write(self, run: Run, samples: Float) -> None:
        self._ring.write(samples)
        run.end = self._ring.end
        while len(self._runs) > 1 and self._runs[0].end <= self._ring.start:
            self._runs.popleft()
