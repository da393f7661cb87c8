"""Every frame in order, without threads or clocks: files, bags, evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import Postprocessor
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.pair import Frame, Pair
from avs_ros.streaming.pair_processor import PairProcessor, check_fit
from avs_ros.streaming.synchronizer import Synchronizer


@dataclass(frozen=True)
class FrameEvent:
    """A frame of a recording: arguments of :meth:`Synchronizer.push_frame`."""

    stamp_ns: int
    frame: Frame
    context: Any = None


@dataclass(frozen=True)
class AudioEvent:
    """A chunk of sound of a recording: arguments of :meth:`Synchronizer.push_audio`."""

    stamp_ns: int
    samples: NDArray[Any]
    rate_hz: float


Event = FrameEvent | AudioEvent
Result = tuple[Segmentation, Pair]


class SequentialRunner:
    """Deterministic form of :class:`Pipeline`: no frame is dropped for lack of time.

    The same events give the same results on any machine.  Errors of the model or of a frame are
    raised where they happen.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        synchronizer: Synchronizer | None = None,
        postprocessor: Postprocessor | None = None,
    ) -> None:
        """Use ``synchronizer``, which must have no deadline (None: one that fits the model)."""
        if synchronizer is None:
            synchronizer = Synchronizer(
                segmenter.window_s, deadline_s=None, rate_hz=segmenter.sample_rate,
                max_waiting=None,
            )
        check_fit(segmenter, synchronizer)
        self.synchronizer = synchronizer
        self.synchronizer.deadline_s = None
        self._processor = PairProcessor(segmenter, postprocessor or Postprocessor())

    def run(self, events: Iterable[Event]) -> Iterator[Result]:
        """Results of a whole recording, one per frame, as soon as each frame's sound has come.

        Frames may run ahead of their sound (they wait in memory); sound may run ahead of its
        frames by the synchronizer's capacity less one window (29 s), older sound is forgotten.
        """
        for event in events:
            if isinstance(event, FrameEvent):
                yield from self.push_frame(event.stamp_ns, event.frame, event.context)
            else:
                yield from self.push_audio(event.stamp_ns, event.samples, event.rate_hz)
        yield from self.finish()

    def push_frame(self, stamp_ns: int, frame: Frame, context: Any = None) -> list[Result]:
        """Add a frame; returns the results that this makes possible."""
        self.synchronizer.push_frame(stamp_ns, frame, context)
        return self._drain()

    def push_audio(
        self, stamp_ns: int, samples: NDArray[Any], rate_hz: float
    ) -> list[Result]:
        """Add a chunk of sound; returns the results that this makes possible."""
        self.synchronizer.push_audio(stamp_ns, samples, rate_hz)
        return self._drain()

    def finish(self) -> list[Result]:
        """No more sound comes: the results of all waiting frames."""
        self.synchronizer.finish()
        return self._drain()

    def reset(self) -> None:
        """Begin a new recording."""
        self.synchronizer.reset()

    def _drain(self) -> list[Result]:
        results = []
        while (pair := self.synchronizer.poll()) is not None:
            decoded, decode_ms = self._processor.decode(pair)
            results.append((self._processor.process(decoded, decode_ms), decoded))
        return results
