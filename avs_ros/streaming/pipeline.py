"""Frames and sound in, segmentations out: the one walk that files, bags and topics share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from avs_ros.errors import EngineError, ParameterError
from avs_ros.gate import apply_gate
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.audio_buffer import AUDIO_COUNTERS
from avs_ros.streaming.inputs import Event, Frame, Pair
from avs_ros.streaming.synchronizer import FRAME_COUNTERS, Synchronizer
from avs_ros.streaming.timing import RateMeter, RollingPercentiles

PIPELINE_COUNTERS: dict[str, str] = {
    "results": "results handed out",
    "decode_errors": "frames that could not be decoded",
    "worker_errors": "frames on which the model or post-processing failed",
    "callback_errors": "results whose receiver failed",
    "dropped_stale": "results thrown away: the stream was reset or stopped meanwhile",
}
# counter -> what it counts, for everything that Pipeline.counters() returns
COUNTERS: dict[str, str] = {**FRAME_COUNTERS, **PIPELINE_COUNTERS, **AUDIO_COUNTERS}

Result = tuple[Segmentation, Pair]


@dataclass(frozen=True)
class PipelineStats:
    """How the stream is doing, over the last results and seconds.

    ``latency_ms``: frame's arrival to result (waiting for sound included); ``processing_ms``:
    see :func:`processing_ms`, both as :meth:`RollingPercentiles.percentiles` gives them;
    ``stages_ms``: mean per stage; rates in Hz (``hearing_rate``: of the audio encoder, 0 where
    the model does not say); ``last``: what the last result was about, None before the first.
    """

    latency_ms: Mapping[str, float]
    processing_ms: Mapping[str, float]
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    frame_rate: float = 0.0
    audio_rate: float = 0.0
    result_rate: float = 0.0
    hearing_rate: float = 0.0
    last: Pair | None = None


def processing_ms(segmentation: Segmentation) -> float:
    """Time spent on a frame (ms): decoding, the whole model step and post-processing."""
    stages = ("decode", "step", "postprocess")
    return sum(float(segmentation.ms.get(stage, 0.0)) for stage in stages)


class Pipeline:
    """Pairs frames with their sound, decodes, segments, post-processes, and counts.

    ``push`` may be called from any thread and returns at once.  Files and bags then go through
    :meth:`run`: every frame in order, the same results each time.  A live stream is served by a
    :class:`~avs_ros.streaming.worker.Worker`, which takes the newest frame instead.

    A frame that cannot be decoded is counted, kept in ``last_error`` and told to ``on_error``,
    and the stream goes on.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        synchronizer: Synchronizer | None = None,
        postprocessor: Postprocessor | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        """``synchronizer``: None makes one that fits the model and waits for sound for ever.

        Raises :class:`ParameterError` unless its windows have the rate that the segmenter wants,
        and for an option of ``postprocessor``'s gate that the segmenter does not have.
        """
        self.segmenter = segmenter
        self.synchronizer = synchronizer or Synchronizer(
            segmenter.window_s, deadline_s=None, rate_hz=segmenter.sample_rate, max_waiting=None
        )
        if segmenter.sample_rate != self.synchronizer.rate_hz:
            raise ParameterError(
                f"model {segmenter.name} hears {segmenter.sample_rate} Hz, the synchronizer makes "
                f"windows at {self.synchronizer.rate_hz} Hz; give it "
                f"rate_hz={segmenter.sample_rate}"
            )
        self.postprocessor = postprocessor or Postprocessor()
        self.policy = self.postprocessor.config
        self.last_error: Exception | None = None
        self._on_error = on_error
        self._epoch: int | None = None
        self._last: Pair | None = None
        self._counters: dict[str, int] = dict.fromkeys(PIPELINE_COUNTERS, 0)
        self._latency = RollingPercentiles()
        self._processing = RollingPercentiles()
        self._stages: dict[str, RollingPercentiles] = {}
        self._rates = {name: RateMeter() for name in ("frame", "audio", "result", "hearing")}
        self._audio_runs = 0

    @property
    def policy(self) -> PostprocessConfig:
        """What is marked; set it at any time, for post-processing and the segmenter's gate."""
        return self.postprocessor.config

    @policy.setter
    def policy(self, config: PostprocessConfig) -> None:
        apply_gate(self.segmenter, config.gate)
        self.postprocessor.config = config

    def push(self, event: Event) -> None:
        """Take a frame or a chunk of sound; see :meth:`Synchronizer.push`."""
        with self.synchronizer.condition:
            rate = self._rates["frame" if isinstance(event, Frame) else "audio"]
            rate.add(self.synchronizer.clock.now_ns())
            self.synchronizer.push(event)

    def run(self, events: Iterable[Event]) -> Iterator[Result]:
        """Results of a whole recording, one per frame, as soon as each frame's sound has come.

        Frames may run ahead of their sound (they wait in memory, undecoded); sound may run ahead
        of its frames by the synchronizer's capacity less one window (29 s), older sound is
        forgotten.  Errors of the model are raised where they happen.
        """
        for event in events:
            self.push(event)
            yield from self._ready()
        self.synchronizer.finish()
        yield from self._ready()

    def _ready(self) -> Iterator[Result]:
        while (pair := self.synchronizer.poll()) is not None:
            segmentation = self.step(pair)
            if segmentation is not None:
                self.account(segmentation, pair)
                yield segmentation, pair

    def step(self, pair: Pair) -> Segmentation | None:
        """One pair through decoding, model and post-processing; one thread at a time.

        ``ms`` of the result holds every stage: ``decode``, the model's own, ``step`` (the whole
        model) and ``postprocess``.  None where the frame cannot be decoded.  The model's memory is
        reset when the pair begins a new epoch, the first one included.  Raises what the model
        raises, :class:`EngineError` if it answers with NaN or infinity.
        """
        began = time.perf_counter_ns()
        try:
            image = pair.image
        except Exception as error:  # whatever a decoder makes of a broken image
            self.report(error, "decode_errors")
            return None
        decoded = time.perf_counter_ns()
        if pair.epoch != self._epoch:
            self.segmenter.reset()
            self.postprocessor.reset()
        self._epoch = pair.epoch
        prediction = self.segmenter.step(image, pair.window, pair.stamp_ns)
        stepped = time.perf_counter_ns()
        if not (np.isfinite(prediction.score) and np.isfinite(prediction.probability).all()):
            # Let through, it would stay in the smoothed past of every later frame.
            raise EngineError(
                f"model {self.segmenter.name} on engine {self.segmenter.engine} answered with NaN "
                "or infinity; use float32 or another engine"
            )
        segmentation = self.postprocessor.process(prediction, pair)
        ended = time.perf_counter_ns()
        return replace(
            segmentation,
            ms={
                "decode": (decoded - began) * 1e-6, **prediction.ms,
                "step": (stepped - decoded) * 1e-6, "postprocess": (ended - stepped) * 1e-6,
            },
        )

    def account(self, segmentation: Segmentation, pair: Pair) -> None:
        """Count a result that is handed out, and note its times."""
        with self.synchronizer.condition:
            now = self.synchronizer.clock.now_ns()
            self._last = pair
            self._counters["results"] += 1
            self._rates["result"].add(now)
            runs = getattr(self.segmenter, "audio_runs", 0)
            if runs > self._audio_runs:
                self._rates["hearing"].add(now)
            self._audio_runs = runs
            self._latency.add((now - pair.arrival_ns) * 1e-6)
            self._processing.add(processing_ms(segmentation))
            for name, value in segmentation.ms.items():
                self._stages.setdefault(name, RollingPercentiles()).add(value)

    def report(self, error: Exception, counter: str) -> None:
        """Count an error under ``counter``, keep it and tell ``on_error``."""
        with self.synchronizer.condition:
            self.last_error = error
            self._counters[counter] += 1
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception as second:  # a failing error report must not end the stream either
            self.last_error = second

    def count(self, counter: str) -> None:
        """Add one to a counter of ``PIPELINE_COUNTERS``."""
        with self.synchronizer.condition:
            self._counters[counter] += 1

    def reset(self) -> None:
        """Forget frames, sound and the model's past; a result under way is thrown away."""
        self.synchronizer.reset()

    def close(self) -> None:
        """Free the model and the sound that is kept (with the resamplers behind it)."""
        self.segmenter.close()
        self.synchronizer.reset()

    def counters(self) -> dict[str, int]:
        """Every counter of the stream since the start, see ``COUNTERS`` for what they mean."""
        with self.synchronizer.condition:
            return {**self.synchronizer.counters(), **self._counters}

    def stats(self) -> PipelineStats:
        """Latency, processing time and rates of the last results."""
        with self.synchronizer.condition:
            now = self.synchronizer.clock.now_ns()
            rates = {f"{name}_rate": meter.rate(now) for name, meter in self._rates.items()}
            return PipelineStats(
                self._latency.percentiles(),
                self._processing.percentiles(),
                {name: values.mean() for name, values in self._stages.items()},
                **rates,
                last=self._last,
            )
