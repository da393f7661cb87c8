"""Each frame with the sound that ends at it."""

from __future__ import annotations

import math
import threading
from collections import deque

from avs_ros.errors import ParameterError
from avs_ros.sound import SAMPLE_RATE
from avs_ros.streaming.audio_buffer import JUMP_BACK_S, AudioBuffer
from avs_ros.streaming.inputs import Event, Frame, Pair
from avs_ros.streaming.timing import Clock

# counter -> what it counts; diagnostics print these words
FRAME_COUNTERS: dict[str, str] = {
    "frames_received": "frames received",
    "frames_paired": "frames handed on with their sound",
    "frames_incomplete": "of these, frames whose sound had not all been heard",
    "frames_deadline": "of these, frames that waited for sound until the deadline",
    "dropped_duplicate": "frames dropped: same stamp as the frame before",
    "dropped_out_of_order": "frames dropped: older than the frame before",
    "dropped_busy": "frames dropped: a newer one was ready when the worker became free",
    "dropped_max_rate": "frames dropped: more than max_rate allows",
    "dropped_queue_full": "frames dropped: too many were waiting for sound",
    "dropped_reset": "frames dropped: waiting when the stream was reset or jumped back",
    "jumps_back": "jumps back in the frames' time (loop of a recording)",
}


class Synchronizer:
    """Pairs frames with windows of sound by their header stamps; thread-safe.

    A frame waits until sound up to its stamp + ``offset_s`` has come, ``deadline_s`` at most by
    ``clock`` (None: for ever, until :meth:`finish` says that no more sound comes), and is then
    served with what there is.  ``offset_s`` and ``deadline_s`` may be set at any time.
    ``condition`` is notified at every arrival; hold it to wait for one.  ``epoch``: number of
    resets and jumps back so far.
    """

    def __init__(
        self,
        window_s: float = 1.0,
        offset_s: float = 0.0,
        deadline_s: float | None = 0.5,
        *,
        rate_hz: int = SAMPLE_RATE,
        max_waiting: int | None = 64,
        clock: Clock | None = None,
    ) -> None:
        """Cut windows of ``window_s`` seconds at ``rate_hz`` out of the 30 s that are kept.

        ``max_waiting``: frames that may wait for sound (None: any number).  Raises
        :class:`ParameterError` for values out of range.
        """
        self.clock = clock if clock is not None else Clock()
        self.condition = threading.Condition(threading.RLock())
        self._audio = AudioBuffer(rate_hz)
        self.rate_hz = self._audio.rate_hz
        self._audio.window(0, window_s)  # refuses a length that it cannot give
        self.window_s = window_s
        self.offset_s = offset_s
        self.deadline_s = deadline_s
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Frame, int]] = deque()  # with their time of arrival (ns)
        self._settled: deque[Pair] = deque()
        self._last_stamp_ns: int | None = None
        self._finished = False
        self.epoch = 0
        self._counters: dict[str, int] = dict.fromkeys(FRAME_COUNTERS, 0)

    @property
    def offset_s(self) -> float:
        """End of the window, seconds after the frame's stamp (may be negative)."""
        return self._offset_s

    @offset_s.setter
    def offset_s(self, value: float) -> None:
        if not math.isfinite(value):
            raise ParameterError(f"offset of {value} s; must be finite")
        self._offset_s = float(value)

    @property
    def deadline_s(self) -> float | None:
        """Longest wait for sound (s by ``clock``); None: until :meth:`finish`."""
        return self._deadline_s

    @deadline_s.setter
    def deadline_s(self, value: float | None) -> None:
        if value is not None and not 0 <= value < math.inf:
            raise ParameterError(f"deadline of {value} s; must be 0 or above")
        with self.condition:
            self._deadline_s = value
            self.condition.notify_all()

    @property
    def waiting(self) -> int:
        """Frames that wait for their sound."""
        return len(self._waiting)

    def counters(self) -> dict[str, int]:
        """All counters of ``FRAME_COUNTERS`` and ``AUDIO_COUNTERS`` since the start."""
        with self.condition:
            return {**self._counters, **self._audio.counters}

    def push(self, event: Event) -> None:
        """Take a chunk of sound (see :meth:`AudioBuffer.push`) or a frame.

        Frames that come twice or out of order are dropped.
        """
        with self.condition:
            if isinstance(event, Frame):
                self._take_frame(event)
            else:
                if self._waiting and self.deadline_s is None and self._audio.restarts(
                    event.stamp_ns, len(event.samples), event.rate_hz
                ):
                    self._settle()
                self._audio.push(event.stamp_ns, event.samples, event.rate_hz)
                self._finished = False
            self.condition.notify_all()

    def _take_frame(self, frame: Frame) -> None:
        self._counters["frames_received"] += 1
        last = self._last_stamp_ns
        if last is not None and frame.stamp_ns <= last:
            if frame.stamp_ns == last:
                self._counters["dropped_duplicate"] += 1
                return
            if last - frame.stamp_ns <= JUMP_BACK_S * 1e9:
                self._counters["dropped_out_of_order"] += 1
                return
            self._jump_back(last, frame.stamp_ns)
        self._last_stamp_ns = frame.stamp_ns
        self._waiting.append((frame, self.clock.now_ns()))
        if self._max_waiting is not None and len(self._waiting) > self._max_waiting:
            self._waiting.popleft()
            self._counters["dropped_queue_full"] += 1

    def finish(self) -> None:
        """Say that no more sound comes: every waiting frame is served with what there is.

        Lasts until sound comes after all, or :meth:`reset`.
        """
        with self.condition:
            self._audio.flush()
            self._finished = True
            self.condition.notify_all()

    def reset(self) -> None:
        """Forget frames and sound, begin a new epoch; the counters stay."""
        with self.condition:
            self._new_epoch()
            self._settled.clear()
            self._audio.reset()
            self._finished = False
            self._last_stamp_ns = None
            self.condition.notify_all()

    def poll(self) -> Pair | None:
        """The oldest waiting frame, if its sound has come or its deadline is over.

        Frames come in the order of their stamps.
        """
        with self.condition:
            if self._settled:
                return self._settled.popleft()
            if not self._waiting:
                return None
            frame, arrival_ns = self._waiting[0]
            if not (self._arrived(frame) or self._expired(arrival_ns)):
                return None
            return self._pair(*self._waiting.popleft())

    def poll_newest(self, reason: str = "dropped_busy") -> Pair | None:
        """The newest frame that is ready, sound arrived before deadline over.

        Older frames are dropped and counted as ``reason``; newer ones go on waiting.
        """
        with self.condition:
            ready = [i for i, (frame, _) in enumerate(self._waiting) if self._arrived(frame)] or [
                i for i, (_, arrival_ns) in enumerate(self._waiting) if self._expired(arrival_ns)
            ]
            if not ready:
                return None
            for _ in range(ready[-1]):
                self._waiting.popleft()
                self._counters[reason] += 1
            return self._pair(*self._waiting.popleft())

    def next_deadline_ns(self) -> int | None:
        """When (by ``clock``) the first waiting frame stops waiting; None if none will."""
        with self.condition:
            if not self._waiting or self.deadline_s is None:
                return None
            return self._waiting[0][1] + round(self.deadline_s * 1e9)

    def _end_ns(self, stamp_ns: int) -> int:
        return stamp_ns + round(self.offset_s * 1e9)

    def _arrived(self, frame: Frame) -> bool:
        latest = self._audio.latest_ns
        return self._finished or (latest is not None and latest >= self._end_ns(frame.stamp_ns))

    def _expired(self, arrival_ns: int) -> bool:
        if (deadline := self.deadline_s) is None:
            return False
        return self.clock.now_ns() - arrival_ns >= round(deadline * 1e9)

    def _pair(self, frame: Frame, arrival_ns: int) -> Pair:
        end_ns = self._end_ns(frame.stamp_ns)
        latest = self._audio.latest_ns
        if not self._arrived(frame):
            self._counters["frames_deadline"] += 1
        window = self._audio.window(end_ns, self.window_s)
        self._counters["frames_paired"] += 1
        self._counters["frames_incomplete"] += not window.complete
        error = math.nan if latest is None else max(0.0, (end_ns - latest) * 1e-6)
        return Pair(
            frame, window.samples, window.coverage, window.complete, window.level_dbfs, error,
            self.epoch, arrival_ns,
        )

    def _jump_back(self, last_ns: int, stamp_ns: int) -> None:
        """Begin a new epoch; forget the sound too, unless it has jumped already."""
        self._counters["jumps_back"] += 1
        if self.deadline_s is None:
            self._settle()
        self._new_epoch()
        latest = self._audio.latest_ns
        if latest is not None and abs(latest - last_ns) < abs(latest - stamp_ns):
            self._audio.reset()

    def _settle(self) -> None:
        """Pair every waiting frame with what there is, before the sound goes."""
        self._audio.flush()
        finished, self._finished = self._finished, True
        while self._waiting:
            self._settled.append(self._pair(*self._waiting.popleft()))
        self._finished = finished

    def _new_epoch(self) -> None:
        self._counters["dropped_reset"] += len(self._waiting)
        self._waiting.clear()
        self.epoch += 1
