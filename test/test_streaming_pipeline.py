"""The pipeline and its worker: newest wins, nothing is lost uncounted, errors do not end it."""

import math
import threading

import numpy as np
import pytest
from fakes import MS, START_NS, BrightnessSegmenter, buzz, image
from pipeline_rig import WAIT_S, GatedSegmenter, Rig

from avs_ros.errors import EngineError, ImageFormatError, ParameterError
from avs_ros.postprocess import PostprocessConfig
from avs_ros.streaming import Pipeline, Sound, Synchronizer
from avs_ros.streaming.pipeline import COUNTERS


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
        return lambda: decoded.append(ms) or image()

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
    assert stats.latency_ms["p50"] == stats.latency_ms["max"] == pytest.approx(250)
    assert stats.result_rate == pytest.approx(4.0)
    assert stats.frame_rate == pytest.approx(3.0)
    assert stats.stages_ms["model"] == pytest.approx(0.1)


def test_before_the_first_result_statistics_are_unknown():
    stats = Rig().pipeline.stats()
    assert math.isnan(stats.latency_ms["p50"]) and stats.result_rate == 0


def test_every_counter_is_explained():
    assert set(Rig().pipeline.counters()) == set(COUNTERS)


def test_what_does_not_fit_is_refused():
    segmenter, sync = BrightnessSegmenter(), Synchronizer(rate_hz=8000)
    with pytest.raises(ParameterError, match="rate_hz=16000"):
        Pipeline(segmenter, sync)
