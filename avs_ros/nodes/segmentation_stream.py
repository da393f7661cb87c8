"""The segmentation node's inside without ROS: parameters in, a running pipeline, figures out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import EngineError
from avs_ros.gate import apply_gate
from avs_ros.inference.segmenter import Segmenter
from avs_ros.nodes.diagnostics import StreamState
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.pipeline import Pipeline
from avs_ros.streaming.statistics import RollingPercentiles
from avs_ros.streaming.synchronizer import Frame, Pair, Synchronizer

OnResult = Callable[[Segmentation, Pair], None]


def create_segmenter(parameters: Mapping[str, Any]) -> Segmenter:
    """The segmenter that ``model``, ``engine`` and ``device`` ask for.

    Raises an :class:`~avs_ros.errors.AvsError` for a name, file or device that does not exist.
    """
    # torch comes in here, not when the node's module is imported.
    from avs_ros.inference import create_segmenter as create

    return create(
        model=parameters["model"], engine=parameters["engine"], device=parameters["device"]
    )


def warm_up(segmenter: Segmenter, width: int = 640, height: int = 480, steps: int = 2) -> None:
    """Run ``segmenter`` on black pictures and silence, so that the first real frame is not slow.

    What fails with the first frame (memory, kernels, a wrong checkpoint) fails here instead.
    """
    frame = np.zeros((height, width, 3), dtype=np.uint8)
    window = np.zeros(round(segmenter.window_s * segmenter.sample_rate), dtype=np.float32)
    segmenter.reset()
    for step in range(steps):
        segmenter.step(frame, window, (step + 1) * 100_000_000)
    segmenter.reset()


class SegmentationStream:
    """Synchronizer, post-processing and pipeline around a segmenter, which it owns.

    ``on_result`` and ``on_error`` are called in the pipeline's worker thread.
    """

    def __init__(
        self, segmenter: Segmenter, parameters: Mapping[str, Any], on_result: OnResult,
        on_error: Callable[[Exception], None],
    ) -> None:
        """Build the stream; raises :class:`ParameterError` when the parameters do not fit."""
        config = PostprocessConfig.of(parameters)
        apply_gate(segmenter, config.gate)
        self._segmenter = segmenter
        self._synchronizer = Synchronizer(
            window_s=segmenter.window_s, offset_s=parameters["audio_offset"],
            deadline_s=parameters["deadline"], rate_hz=segmenter.sample_rate,
        )
        self._postprocessor = Postprocessor(config)
        self._on_result = on_result
        self._lock = threading.Lock()
        self._last: Pair | None = None
        self._age = RollingPercentiles()
        self._pipeline = Pipeline(
            segmenter, self._synchronizer, self._postprocessor, self._keep,
            max_rate=parameters["max_rate"], on_error=on_error,
        )

    def start(self) -> None:
        """Start the worker on a stream without a past.

        Raises :class:`EngineError` while a worker that was told to stop is still at its frame.
        """
        try:
            self._pipeline.start()
        except RuntimeError as error:
            raise EngineError(f"cannot start again yet: {error}") from error
        self._pipeline.reset()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Stop the worker; False if it is still at its frame after ``timeout_s``."""
        return self._pipeline.stop(timeout_s)

    def close(self) -> None:
        """Stop the worker, free the model (once its last frame is done) and the sound kept."""

        def free() -> None:
            self._segmenter.close()
            # soxr's resamplers would be called leaks if they lived on to the process's end.
            self._pipeline.reset()

        def close_when_done() -> None:
            self._pipeline.stop(None)
            free()

        if self.stop():
            free()
        else:
            threading.Thread(target=close_when_done, name="avs-close", daemon=True).start()

    def reset(self) -> None:
        """Forget frames, sound and the model's past."""
        self._pipeline.reset()

    def apply(self, parameters: Mapping[str, Any]) -> None:
        """Take over changed parameters; raises :class:`ParameterError` and then changes none."""
        config = PostprocessConfig.of(parameters)
        apply_gate(self._segmenter, config.gate)
        self._postprocessor.config = config
        self._pipeline.max_rate = parameters["max_rate"]
        self._synchronizer.offset_s = parameters["audio_offset"]
        self._synchronizer.deadline_s = parameters["deadline"]

    def push_frame(self, stamp_ns: int, frame: Frame, header: object) -> None:
        """Hand over a frame (array or function that decodes it) with its header."""
        self._pipeline.push_frame(stamp_ns, frame, header)

    def push_audio(self, stamp_ns: int, samples: NDArray[Any], rate_hz: float) -> None:
        """Hand over sound whose first sample was captured at ``stamp_ns``."""
        self._pipeline.push_audio(stamp_ns, samples, rate_hz)

    def note_age(self, age_ms: float) -> None:
        """Note how old a frame was (by its header) when its answer left."""
        with self._lock:
            self._age.add(age_ms)

    def report(self, state: StreamState) -> None:
        """Fill in what diagnostics say about the stream."""
        state.stats, state.counters = self._pipeline.stats(), self._pipeline.counters()
        error = self._pipeline.last_error
        state.last_error = f"{type(error).__name__}: {error}" if error else ""
        with self._lock:
            state.age_ms = self._age.percentiles()
            if (pair := self._last) is not None:
                state.level_dbfs, state.coverage = pair.level_dbfs, pair.coverage
                state.sync_error_ms = pair.sync_error_ms

    def _keep(self, segmentation: Segmentation, pair: Pair) -> None:
        with self._lock:
            self._last = pair
        self._on_result(segmentation, pair)
