"""The worker thread between what comes in and what goes out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from avs_ros.errors import ParameterError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.clock import Clock
from avs_ros.streaming.pair import Frame, Pair
from avs_ros.streaming.pair_processor import PairProcessor, check_fit
from avs_ros.streaming.statistics import Percentiles, RateMeter, RollingPercentiles
from avs_ros.streaming.synchronizer import Synchronizer

PIPELINE_COUNTERS: dict[str, str] = {
    "results": "results handed out",
    "decode_errors": "frames that could not be decoded",
    "worker_errors": "frames on which the model or post-processing failed",
    "callback_errors": "results whose receiver failed",
    "dropped_stale": "results thrown away: the stream was reset or stopped meanwhile",
}
_BACK_OFF_FIRST_S = 0.1
_BACK_OFF_LAST_S = 5.0


@dataclass(frozen=True)
class PipelineStats:
    """How the stream is doing, over the last results and seconds.

    ``latency_ms``: frame's arrival to result (waiting for sound included); ``processing_ms``:
    model and post-processing; ``stages_ms``: mean per stage; rates in Hz.
    """

    latency_ms: Percentiles
    processing_ms: Percentiles
    stages_ms: dict[str, float] = field(default_factory=dict)
    frame_rate: float = 0.0
    audio_rate: float = 0.0
    result_rate: float = 0.0


class Pipeline:
    """Frames and sound in, segmentations out; the newest complete pair wins.

    ``push_frame`` and ``push_audio`` return at once and may be called from any thread.  One worker
    thread takes the newest frame whose sound has come, and hands the result to ``on_result``
    (called in the worker's thread, in the order of stamps).  Frames overtaken while the worker was
    busy are dropped and counted.  An error is kept in ``last_error``, counted and told to
    ``on_error``, and the stream goes on: after an error of the model or of ``on_result`` with a
    pause (0.1 s, doubling up to 5 s while errors follow each other), after a frame that cannot be
    decoded at once.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        synchronizer: Synchronizer,
        postprocessor: Postprocessor,
        on_result: Callable[[Segmentation, Pair], None],
        max_rate: float = 0.0,
        clock: Clock | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        """``max_rate``: results per second at most (0: no limit; may be set at any time).

        ``clock``: in place of the synchronizer's (it is given to it too).  Raises
        :class:`ParameterError` if the synchronizer's rate is not the segmenter's.
        """
        check_fit(segmenter, synchronizer)
        if not max_rate >= 0:
            raise ParameterError(f"max_rate of {max_rate} Hz; must be 0 (no limit) or above")
        if clock is not None:
            synchronizer.clock = clock
        self.max_rate = max_rate
        self.synchronizer = synchronizer
        self.last_error: Exception | None = None
        self._clock = synchronizer.clock
        self._processor = PairProcessor(segmenter, postprocessor)
        self._on_result = on_result
        self._on_error = on_error
        self._condition = synchronizer.condition
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failures = 0
        self._counters: dict[str, int] = dict.fromkeys(PIPELINE_COUNTERS, 0)
        self._latency = RollingPercentiles()
        self._processing = RollingPercentiles()
        self._stages: dict[str, RollingPercentiles] = {}
        self._rates = {name: RateMeter() for name in ("frame", "audio", "result")}

    @property
    def running(self) -> bool:
        """Whether the worker thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the worker; does nothing if it runs.  After :meth:`stop` a new stream begins.

        Raises :class:`RuntimeError` while a worker that was told to stop is still at its frame.
        """
        if self.running:
            if self._stopping.is_set():
                raise RuntimeError("the worker was told to stop and is still at its last frame")
            return
        if self._thread is not None:
            self.reset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._stopping,), name="avs-pipeline", daemon=True
        )
        self._thread.start()

    def stop(self, timeout: float | None = 5.0) -> bool:
        """End the worker after the frame it is working on; True once it has ended.

        ``timeout``: seconds to wait for it.  After False its result, when it comes, is thrown
        away, so no ``on_result`` begins after this call.  Called by ``on_result`` itself, it
        returns False at once.
        """
        with self._condition:
            self._stopping.set()
            self._condition.notify_all()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout)
        return not thread.is_alive()

    def push_frame(self, stamp_ns: int, frame: Frame, context: Any = None) -> None:
        """Take a frame; see :meth:`Synchronizer.push_frame`."""
        with self._condition:
            self._rates["frame"].add(self._clock.now_ns())
            self.synchronizer.push_frame(stamp_ns, frame, context)

    def push_audio(self, stamp_ns: int, samples: NDArray[Any], rate_hz: float) -> None:
        """Take a chunk of sound; see :meth:`AudioBuffer.push`."""
        with self._condition:
            self._rates["audio"].add(self._clock.now_ns())
            self.synchronizer.push_audio(stamp_ns, samples, rate_hz)

    def reset(self) -> None:
        """Forget frames, sound and the model's past; a result under way is thrown away."""
        self.synchronizer.reset()

    def counters(self) -> dict[str, int]:
        """Every counter of the stream since the start, see ``COUNTERS`` for what they mean."""
        with self._condition:
            return {**self.synchronizer.counters(), **self._counters}

    def stats(self) -> PipelineStats:
        """Latency, processing time and rates of the last results."""
        with self._condition:
            now = self._clock.now_ns()
            rates = {f"{name}_rate": meter.rate(now) for name, meter in self._rates.items()}
            return PipelineStats(
                self._latency.percentiles(),
                self._processing.percentiles(),
                {name: values.mean() for name, values in self._stages.items()},
                **rates,
            )

    def _work(self, stopping: threading.Event) -> None:
        not_before_ns = self._clock.now_ns()
        limited = False
        while True:
            with self._condition:
                if stopping.is_set():
                    return
                now = self._clock.now_ns()
                pair = None
                if now >= not_before_ns:
                    reason = "dropped_max_rate" if limited else "dropped_busy"
                    pair = self.synchronizer.poll_newest(now, reason)
                if pair is None:
                    self._clock.wait(self._condition, self._timeout_s(now, not_before_ns))
                    continue
            failed = not self._serve(pair, stopping)
            done = self._clock.now_ns()
            self._failures = self._failures + 1 if failed else 0
            if failed:
                not_before_ns = done + round(self._back_off_s() * 1e9)
            elif self.max_rate > 0:
                not_before_ns = now + round(1e9 / self.max_rate)
            limited = not failed and not_before_ns > done

    def _timeout_s(self, now_ns: int, not_before_ns: int) -> float | None:
        """Seconds until something may be done without a new arrival; None: nothing will."""
        deadline_ns = self.synchronizer.next_deadline_ns()
        if now_ns < not_before_ns:
            return (not_before_ns - now_ns) * 1e-9
        return None if deadline_ns is None else max(0.0, (deadline_ns - now_ns) * 1e-9)

    def _back_off_s(self) -> float:
        return min(_BACK_OFF_LAST_S, _BACK_OFF_FIRST_S * 2.0 ** min(self._failures - 1, 10))

    def _serve(self, pair: Pair, stopping: threading.Event) -> bool:
        """Process one pair and hand the result out; False after an error."""
        try:
            decoded, decode_ms = self._processor.decode(pair)
        except Exception as error:  # a broken picture costs nothing: no need for a pause
            self._report(error, "decode_errors")
            return True
        step = "worker_errors"
        try:
            result = self._processor.process(decoded, decode_ms)
            with self._condition:
                if stopping.is_set() or pair.epoch != self.synchronizer.epoch:
                    self._counters["dropped_stale"] += 1
                    return True
                self._note(result, pair)
            step = "callback_errors"
            self._on_result(result, decoded)
        except Exception as error:  # the stream must survive any failure of one frame
            self._report(error, step)
            return False
        return True

    def _note(self, result: Segmentation, pair: Pair) -> None:
        now = self._clock.now_ns()
        self._counters["results"] += 1
        self._rates["result"].add(now)
        self._latency.add((now - pair.arrival_ns) * 1e-6)
        self._processing.add(result.ms["step"] + result.ms["postprocess"])
        for name, value in result.ms.items():
            self._stages.setdefault(name, RollingPercentiles()).add(value)

    def _report(self, error: Exception, counter: str) -> None:
        with self._condition:
            self.last_error = error
            self._counters[counter] += 1
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception as second:  # a failing error report must not end the worker either
            self.last_error = second
