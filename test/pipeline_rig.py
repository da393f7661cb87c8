"""A pipeline on a clock that stands still, and a model that waits for the test."""

import queue
import threading

from fakes import MS, START_NS, BrightnessSegmenter, ManualClock, buzz, image

from avs_ros.postprocess import Postprocessor
from avs_ros.streaming import Frame, Pipeline, Sound, Synchronizer, Worker

WAIT_S = 20


class GatedSegmenter(BrightnessSegmenter):
    """Stops inside ``step`` until the test lets it go on; fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered: queue.Queue[int] = queue.Queue()
        self.gate = threading.Semaphore(0)
        self.failing = False

    def step(self, frame, window, stamp_ns):
        self.entered.put(stamp_ns)
        if not self.gate.acquire(timeout=WAIT_S):
            raise TimeoutError("the test never opened the gate")
        if self.failing:
            raise ValueError("no memory left on the device")
        return super().step(frame, window, stamp_ns)


class Rig:
    """A pipeline on a manual clock, with a second of sound and a queue of results."""

    def __init__(self, segmenter=None, **options) -> None:
        self.clock = ManualClock()
        self.segmenter = segmenter or BrightnessSegmenter()
        self.results: queue.Queue = queue.Queue()
        self.errors: queue.Queue = queue.Queue()
        self.postprocessor = Postprocessor()
        self.pipeline = Pipeline(
            self.segmenter, Synchronizer(window_s=0.5, deadline_s=0.5, clock=self.clock),
            self.postprocessor, options.pop("on_error", self.errors.put),
        )
        options.setdefault("on_result", lambda result, pair: self.results.put((result, pair)))
        self.worker = Worker(self.pipeline, **options)
        self.pipeline.push(Sound(START_NS, buzz(5000), 16000))

    def frame(self, ms: int, decode=image) -> None:
        self.pipeline.push(Frame(START_NS + ms * MS, ms, decode))

    def result_ms(self) -> int:
        return self.results.get(timeout=WAIT_S)[1].frame.index

    def __enter__(self):
        waits = self.clock.waits
        self.worker.start()
        self.clock.wait_until_idle(waits + 1)
        return self

    def settle(self, act) -> None:
        """Do ``act``, which wakes the parked worker, and wait until it is parked again."""
        waits = self.clock.waits
        act()
        self.clock.wait_until_idle(waits + 1)

    def __exit__(self, *exc) -> None:
        if isinstance(self.segmenter, GatedSegmenter):
            self.segmenter.gate.release(1000)
        assert self.worker.stop(WAIT_S)
