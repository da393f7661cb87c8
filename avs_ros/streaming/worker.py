"""The thread that serves a live stream: the newest complete pair wins."""

from __future__ import annotations

import threading
from collections.abc import Callable

from avs_ros.errors import EngineError
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.inputs import Pair
from avs_ros.streaming.pipeline import Pipeline

_BACK_OFF_FIRST_S = 0.1
_BACK_OFF_LAST_S = 5.0


class Worker:
    """Takes the newest frame of ``pipeline`` whose sound has come, and hands on the result.

    ``on_result`` is called in the worker's thread, in the order of stamps.  Frames overtaken while
    the worker was busy are dropped and counted.  Errors are counted and told by the pipeline, and
    the stream goes on: after an error of the model or of ``on_result`` with a pause (0.1 s,
    doubling up to 5 s while errors follow each other), after a frame that cannot be decoded at
    once.
    """

    def __init__(
        self, pipeline: Pipeline, on_result: Callable[[Segmentation, Pair], None],
        max_rate: float = 0.0,
    ) -> None:
        """``max_rate``: results per second at most (0: no limit; may be set at any time)."""
        self.max_rate = max_rate
        self.pipeline = pipeline
        self._synchronizer = pipeline.synchronizer
        self._on_result = on_result
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._failures = 0

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; does nothing if it runs.  After :meth:`stop` a new stream begins.

        Raises :class:`EngineError` while a thread that was told to stop is still at its frame.
        """
        if self.running:
            if self._stopping.is_set():
                raise EngineError(
                    "cannot start again yet: the model is still at its last frame; try later"
                )
            return
        if self._thread is not None:
            self.pipeline.reset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._stopping,), name="avs-pipeline", daemon=True
        )
        self._thread.start()

    def stop(self, timeout_s: float | None = 5.0) -> bool:
        """End the thread after the frame it is working on; True once it has ended.

        ``timeout_s``: how long to wait for it (None: for ever).  After False its result, when it
        comes, is thrown away, so no ``on_result`` begins after this call.  Called by ``on_result``
        itself, it returns False at once.
        """
        with self._synchronizer.condition:
            self._stopping.set()
            self._synchronizer.condition.notify_all()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return thread is None
        thread.join(timeout_s)
        return not thread.is_alive()

    def close(self) -> None:
        """Stop, and close the pipeline: in the background where the model hangs in its frame."""

        def close_when_done() -> None:
            self.stop(None)
            self.pipeline.close()

        if self.stop():
            self.pipeline.close()
        else:
            threading.Thread(target=close_when_done, name="avs-close", daemon=True).start()

    def _work(self, stopping: threading.Event) -> None:
        clock, condition = self._synchronizer.clock, self._synchronizer.condition
        not_before_ns = clock.now_ns()
        limited = False
        while True:
            with condition:
                if stopping.is_set():
                    return
                now = clock.now_ns()
                pair = None
                if now >= not_before_ns:
                    reason = "dropped_max_rate" if limited else "dropped_busy"
                    pair = self._synchronizer.poll_newest(reason)
                if pair is None:
                    clock.wait(condition, self._timeout_s(now, not_before_ns))
                    continue
            failed = not self._serve(pair, stopping)
            done = clock.now_ns()
            self._failures = self._failures + 1 if failed else 0
            if failed:
                pause_s = _BACK_OFF_FIRST_S * 2.0 ** min(self._failures - 1, 10)
                not_before_ns = done + round(min(_BACK_OFF_LAST_S, pause_s) * 1e9)
            elif self.max_rate > 0:
                not_before_ns = now + round(1e9 / self.max_rate)
            limited = not failed and not_before_ns > done

    def _timeout_s(self, now_ns: int, not_before_ns: int) -> float | None:
        """Seconds until something may be done without a new arrival; None: nothing will."""
        deadline_ns = self._synchronizer.next_deadline_ns()
        if now_ns < not_before_ns:
            return (not_before_ns - now_ns) * 1e-9
        return None if deadline_ns is None else max(0.0, (deadline_ns - now_ns) * 1e-9)

    def _serve(self, pair: Pair, stopping: threading.Event) -> bool:
        """Process one pair and hand the result out; False after an error that needs a pause."""
        pipeline, failing = self.pipeline, "worker_errors"
        try:
            segmentation = pipeline.step(pair)
            if segmentation is None:  # a broken image costs nothing: no need for a pause
                return True
            with self._synchronizer.condition:
                if stopping.is_set() or pair.epoch != self._synchronizer.epoch:
                    pipeline.count("dropped_stale")
                    return True
                pipeline.account(segmentation, pair)
            failing = "callback_errors"
            self._on_result(segmentation, pair)
        except Exception as error:  # the stream must survive any failure of one frame
            pipeline.report(error, failing)
            return False
        return True
