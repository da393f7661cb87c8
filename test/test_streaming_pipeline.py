"""The pipeline and its worker: newest wins, nothing is lost uncounted, errors do not end it."""

import math
import queue
import threading

import numpy as np
import pytest
from fakes import BrightnessSegmenter, ManualClock

from avs_ros.errors import EngineError, ImageFormatError, ParameterError
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming import COUNTERS, Frame, Pipeline, Sound, Synchronizer, Worker

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
WAIT_S = 20


def picture() -> np.ndarray:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[10:30, 20:50] = 255
    return frame


def buzz(ms: int = 1000) -> np.ndarray:
    return (8000 * np.sin(np.arange(ms * 16) * 0.3)).astype(np.int16)


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

    def frame(self, ms: int, decode=picture) -> None:
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


def test_a_frame_becomes_a_segmentation_with_its_own_stamp_and_timings():
    with Rig() as rig:
        rig.frame(1000)
        result, pair = rig.results.get(timeout=WAIT_S)
    assert result.stamp_ns == pair.stamp_ns == START_NS + 1000 * MS
    assert result.sounding and result.instances[0].box == (20, 10, 50, 30)
    assert set(result.ms) == {"decode", "model", "step", "postprocess"}
    assert pair.image.shape == (48, 64, 3) and pair.complete
    assert rig.pipeline.counters()["results"] == 1


def test_the_newest_frame_wins_and_overtaken_ones_are_never_decoded():
    decoded = []

    def lazily(ms):
        return lambda: decoded.append(ms) or picture()

    with Rig(GatedSegmenter()) as rig:
        rig.frame(1000, lazily(1000))
        rig.segmenter.entered.get(timeout=WAIT_S)
        for ms in (1100, 1200, 1300):
            rig.frame(ms, lazily(ms))
        rig.segmenter.gate.release(2)
        assert [rig.result_ms(), rig.result_ms()] == [1000, 1300]
        assert decoded == [1000, 1300]
        assert rig.pipeline.counters()["dropped_busy"] == 2


def test_max_rate_spaces_the_results_and_counts_what_it_drops():
    with Rig(max_rate=10.0) as rig:
        rig.settle(lambda: rig.frame(1000))
        assert rig.result_ms() == 1000
        rig.settle(lambda: rig.frame(1033))
        rig.settle(lambda: rig.frame(1066))
        rig.settle(lambda: rig.clock.advance(0.099))
        assert rig.results.empty()
        rig.clock.advance(0.001)
        assert rig.result_ms() == 1066
        assert rig.pipeline.counters()["dropped_max_rate"] == 1
        assert rig.pipeline.counters()["dropped_busy"] == 0


def test_the_deadline_wakes_the_worker():
    with Rig() as rig:
        rig.settle(lambda: rig.frame(9000))  # sound has come up to 5000
        rig.settle(lambda: rig.clock.advance(0.499))
        assert rig.results.empty()
        rig.clock.advance(0.001)
        result, pair = rig.results.get(timeout=WAIT_S)
        assert not pair.complete and result.coverage == 0 and not result.sounding


def test_an_error_of_the_model_is_kept_counted_reported_and_survived():
    with Rig(GatedSegmenter()) as rig:
        rig.segmenter.gate.release(1000)
        rig.segmenter.failing = True
        rig.frame(1000)
        error = rig.errors.get(timeout=WAIT_S)
        assert rig.pipeline.last_error is error and "no memory" in str(error)
        rig.segmenter.failing = False
        rig.frame(1100)
        rig.clock.advance(0.1)
        assert rig.result_ms() == 1100
        assert rig.pipeline.counters()["worker_errors"] == 1
        assert rig.worker.running


def test_an_answer_that_is_no_number_is_an_error_and_leaves_no_trace():
    class Overflowing(BrightnessSegmenter):
        def step(self, frame, window, stamp_ns):
            prediction = super().step(frame, window, stamp_ns)
            if len(self.stamps) == 2:
                prediction.probability[5, 5] = np.nan
            return prediction

    with Rig(Overflowing()) as rig:
        rig.postprocessor.config = PostprocessConfig(smoothing=0.9)
        rig.frame(1000)
        first = rig.results.get(timeout=WAIT_S)[0]
        rig.frame(1100)
        assert isinstance(rig.errors.get(timeout=WAIT_S), EngineError)
        rig.frame(1200)
        rig.clock.advance(0.1)
        assert rig.results.get(timeout=WAIT_S)[0].instances == first.instances


def test_errors_in_a_row_are_followed_by_longer_and_longer_pauses():
    with Rig(GatedSegmenter()) as rig:
        rig.segmenter.gate.release(1000)
        rig.segmenter.failing = True
        rig.settle(lambda: rig.frame(1000))
        for i, pause_s in enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0), start=1):
            assert rig.segmenter.entered.get(timeout=WAIT_S) == START_NS + (999 + i) * MS
            rig.settle(lambda i=i: rig.frame(1000 + i))
            rig.settle(lambda pause_s=pause_s: rig.clock.advance(pause_s - 0.01))
            assert rig.segmenter.entered.empty()
            rig.settle(lambda: rig.clock.advance(0.01))
        assert rig.errors.qsize() == 9


def test_a_frame_that_cannot_be_decoded_costs_no_pause():
    def broken():
        raise ImageFormatError("row of 10 bytes")

    with Rig() as rig:
        rig.frame(1000, broken)
        assert isinstance(rig.errors.get(timeout=WAIT_S), ImageFormatError)
        rig.frame(1100, lambda: np.zeros((4, 4), np.uint8))
        assert "expected uint8 RGB" in str(rig.errors.get(timeout=WAIT_S))
        rig.frame(1200)
        assert rig.result_ms() == 1200
        counters = rig.pipeline.counters()
        assert (counters["decode_errors"], counters["worker_errors"]) == (2, 0)


def test_an_error_of_the_receiver_is_kept_too():
    def refuse(result, pair):
        raise RuntimeError("publisher destroyed")

    with Rig(on_result=refuse) as rig:
        rig.frame(1000)
        assert "publisher destroyed" in str(rig.errors.get(timeout=WAIT_S))
        assert rig.pipeline.counters()["callback_errors"] == 1
        assert rig.worker.running


def test_a_failing_error_report_does_not_end_the_worker():
    def broken():
        raise ImageFormatError("broken")

    with Rig(on_error=lambda error: 1 / 0) as rig:
        rig.frame(1000, broken)
        rig.frame(1100)
        assert rig.result_ms() == 1100


def test_reset_throws_away_the_result_under_way_and_the_models_past():
    with Rig(GatedSegmenter()) as rig:
        rig.frame(1000)
        rig.segmenter.entered.get(timeout=WAIT_S)
        rig.pipeline.reset()
        rig.segmenter.gate.release()
        rig.pipeline.push(Sound(START_NS, buzz(1000), 16000))
        rig.frame(900)
        rig.segmenter.gate.release()
        assert rig.result_ms() == 900
        assert rig.segmenter.resets == 2  # at the start and now
        assert rig.pipeline.counters()["dropped_stale"] == 1


def test_a_jump_back_resets_the_model():
    with Rig() as rig:
        rig.frame(4000)
        assert rig.result_ms() == 4000
        rig.pipeline.push(Sound(START_NS, buzz(1000), 16000))
        rig.frame(500)
        assert rig.result_ms() == 500
        assert rig.segmenter.resets == 2 and rig.segmenter.stamps[-1] == START_NS + 500 * MS


def test_stop_waits_for_the_worker_and_says_when_it_did_not_end():
    rig = Rig(GatedSegmenter())
    rig.worker.start()
    rig.frame(1000)
    rig.segmenter.entered.get(timeout=WAIT_S)
    assert not rig.worker.stop(0.0)
    with pytest.raises(EngineError, match="still at its last frame"):
        rig.worker.start()
    rig.segmenter.gate.release()
    assert rig.worker.stop(WAIT_S) and not rig.worker.running
    assert rig.results.empty() and rig.pipeline.counters()["dropped_stale"] == 1


def test_after_a_stop_a_new_stream_can_begin():
    rig = Rig()
    with rig:
        rig.frame(4000)
        assert rig.result_ms() == 4000
    rig.frame(4500)  # nobody works: it waits, and is of no interest later
    with rig:
        rig.pipeline.push(Sound(START_NS, buzz(1000), 16000))
        rig.frame(800)
        assert rig.result_ms() == 800
    assert rig.segmenter.resets == 2


def test_the_receiver_may_stop_the_pipeline():
    done = threading.Event()

    def stop(result, pair):
        rig.worker.stop(WAIT_S)
        done.set()

    rig = Rig(on_result=stop)
    rig.worker.start()
    rig.frame(1000)
    assert done.wait(WAIT_S) and rig.worker.stop(WAIT_S)


def test_starting_twice_and_stopping_before_the_start_do_nothing():
    rig = Rig()
    assert rig.worker.stop(0.0)
    with rig:
        rig.worker.start()
        rig.frame(1000)
        assert rig.result_ms() == 1000
        assert rig.results.empty()


def test_statistics_tell_latency_by_the_clock():
    with Rig(GatedSegmenter()) as rig:
        for i in range(4):
            rig.frame(1000 + 100 * i)
            rig.segmenter.entered.get(timeout=WAIT_S)
            rig.clock.advance(0.25)
            rig.segmenter.gate.release()
            rig.result_ms()
        stats = rig.pipeline.stats()
    assert stats.latency_ms.p50 == stats.latency_ms.max == pytest.approx(250)
    assert stats.latency_ms.count == 4
    assert stats.result_rate == pytest.approx(4.0)
    assert stats.frame_rate == pytest.approx(3.0)
    assert stats.stages_ms["model"] == pytest.approx(0.1)


def test_before_the_first_result_statistics_are_unknown():
    stats = Rig().pipeline.stats()
    assert math.isnan(stats.latency_ms.p50) and stats.result_rate == 0


def test_every_counter_is_explained():
    assert set(Rig().pipeline.counters()) == set(COUNTERS)


def test_what_does_not_fit_is_refused():
    segmenter, sync = BrightnessSegmenter(), Synchronizer(rate_hz=8000)
    with pytest.raises(ParameterError, match="rate_hz=16000"):
        Pipeline(segmenter, sync)
    with pytest.raises(ParameterError, match="max_rate"):
        Worker(Pipeline(segmenter), lambda *_: None, max_rate=-1)


def recording(chunk_ms: int, frames_first: bool) -> list:
    events = [Frame(START_NS + ms * MS, ms, picture) for ms in range(0, 3000, 40)]
    sound = buzz(2500)
    for ms in range(0, 2500, chunk_ms):
        part = sound[ms * 16 : (ms + chunk_ms) * 16]
        events.append(Sound(START_NS + ms * MS, part, 16000))
    return events if frames_first else sorted(events, key=lambda event: event.stamp_ns)


def test_a_recordings_results_do_not_depend_on_how_it_is_cut():
    runs = []
    for chunk_ms, frames_first in ((20, False), (100, False), (500, True)):
        pipeline = Pipeline(BrightnessSegmenter())
        runs.append(list(pipeline.run(recording(chunk_ms, frames_first))))
    assert [pair.frame.index for _, pair in runs[0]] == list(range(0, 3000, 40))
    for results in runs[1:]:
        for (a, pair_a), (b, pair_b) in zip(runs[0], results, strict=True):
            assert np.array_equal(pair_a.window, pair_b.window)
            assert (a.instances, a.point, a.coverage) == (b.instances, b.point, b.coverage)
    assert runs[0][10][0].sounding and runs[0][-1][1].coverage == pytest.approx(0.54, abs=1e-3)


def test_a_recording_serves_every_frame_when_there_is_no_sound():
    frames = (Frame(START_NS + i * 40 * MS, i, picture) for i in range(200))
    results = list(Pipeline(BrightnessSegmenter()).run(frames))
    assert len(results) == 200 and not any(result.sounding for result, _ in results)


def test_a_recording_raises_where_it_happens():
    class Failing(BrightnessSegmenter):
        def step(self, frame, window, stamp_ns):
            raise ValueError("bad weights")

    with pytest.raises(ValueError, match="bad weights"):
        list(Pipeline(Failing()).run(recording(100, False)))


def test_a_recording_reset_begins_a_new_recording():
    segmenter = BrightnessSegmenter()
    config = PostprocessConfig(smoothing=0.5)
    pipeline = Pipeline(segmenter, postprocessor=Postprocessor(config))
    first = [result.point for result, _ in pipeline.run(recording(100, False))]
    pipeline.reset()
    second = [result.point for result, _ in pipeline.run(recording(100, False))]
    assert first == second and segmenter.resets == 2


def test_a_recording_goes_on_after_a_frame_that_cannot_be_decoded():
    def broken():
        raise ImageFormatError("cut short")

    errors = []
    pipeline = Pipeline(BrightnessSegmenter(), on_error=errors.append)
    events = recording(100, False)
    events.insert(events.index(next(one for one in events if one.stamp_ns > START_NS + 645 * MS)),
                  Frame(START_NS + 645 * MS, 645, broken))
    results = list(pipeline.run(events))
    assert 645 not in [pair.frame.index for _, pair in results] and len(results) == 75
    counters = pipeline.counters()
    assert (counters["decode_errors"], counters["results"]) == (1, 75)
    assert errors == [pipeline.last_error] and "cut short" in str(errors[0])


def test_a_recordings_frames_are_decoded_when_their_sound_has_come():
    decoded = []

    def lazily(ms):
        return lambda: decoded.append(ms) or picture()

    pipeline = Pipeline(BrightnessSegmenter())
    for ms in (100, 200, 300):
        pipeline.push(Frame(START_NS + ms * MS, ms, lazily(ms)))
    results = pipeline.run([Sound(START_NS, buzz(250), 16000)])
    assert next(results)[1].frame.index == 100 and decoded == [100]
    assert [pair.frame.index for _, pair in results] == [200, 300]
    assert decoded == [100, 200, 300]
