"""One pair through the model: decode, segment, post-process."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from avs_ros.errors import EngineError, ImageFormatError, ParameterError
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.pair import Pair
from avs_ros.streaming.synchronizer import Synchronizer


class PairProcessor:
    """Runs the model on pairs, in the order of their stamps; one thread at a time."""

    def __init__(self, segmenter: Segmenter, postprocessor: Postprocessor) -> None:
        """Use ``segmenter`` (not closed here) and ``postprocessor``."""
        self.segmenter = segmenter
        self.postprocessor = postprocessor
        self._epoch: int | None = None

    def decode(self, pair: Pair) -> tuple[Pair, float]:
        """The pair with its frame as an array uint8 ``[H, W, 3]``, and the milliseconds it took.

        Raises what the frame's function raises, :class:`ImageFormatError` for a wrong array.
        """
        begin = time.perf_counter_ns()
        frame = pair.frame() if callable(pair.frame) else pair.frame
        if (
            not isinstance(frame, np.ndarray)
            or frame.dtype != np.uint8
            or frame.ndim != 3
            or frame.shape[2] != 3
            or 0 in frame.shape
        ):
            got = f"{getattr(frame, 'dtype', type(frame).__name__)} {np.shape(frame)}"
            raise ImageFormatError(f"frame is {got}; expected uint8 RGB [height, width, 3]")
        return replace(pair, frame=frame), _ms_since(begin)

    def process(self, pair: Pair, decode_ms: float = 0.0) -> Segmentation:
        """Segment a decoded pair; ``ms`` of the result holds every stage.

        Stages: ``decode``, the model's own, ``step`` (the whole model) and ``postprocess``.
        The model's memory is reset when the pair begins a new epoch, the first one included.
        Raises what the model raises, :class:`EngineError` if it answers with NaN or infinity.
        """
        if pair.epoch != self._epoch:
            self.segmenter.reset()
            self.postprocessor.reset()
        self._epoch = pair.epoch
        begin = time.perf_counter_ns()
        prediction = self.segmenter.step(np.asarray(pair.frame), pair.window, pair.stamp_ns)
        step_ms = _ms_since(begin)
        if not (np.isfinite(prediction.sounding) and np.isfinite(prediction.probability).all()):
            # Let through, it would stay in the smoothed past of every later frame.
            raise EngineError(
                f"model {self.segmenter.name} on engine {self.segmenter.engine} answered with NaN "
                "or infinity; use float32 or another engine"
            )
        begin = time.perf_counter_ns()
        result = self.postprocessor.process(prediction, pair)
        post_ms = _ms_since(begin)
        stages = {"decode": decode_ms, **prediction.ms, "step": step_ms, "postprocess": post_ms}
        return replace(result, ms=stages)


def check_fit(segmenter: Segmenter, synchronizer: Synchronizer) -> None:
    """Raise :class:`ParameterError` unless the windows have the rate the segmenter wants."""
    if segmenter.sample_rate != synchronizer.rate_hz:
        raise ParameterError(
            f"model {segmenter.name} hears {segmenter.sample_rate} Hz, the synchronizer makes "
            f"windows at {synchronizer.rate_hz} Hz; give it rate_hz={segmenter.sample_rate}"
        )


def _ms_since(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) * 1e-6
