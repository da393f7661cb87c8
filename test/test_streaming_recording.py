"""A recording through the pipeline: every frame, the same answers however it is cut."""


import numpy as np
import pytest
from fakes import MS, START_NS, BrightnessSegmenter, buzz, image

from avs_ros.errors import ImageFormatError
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.streaming import Frame, Pipeline, Sound


def recording(chunk_ms: int, frames_first: bool) -> list:
    events = [Frame(START_NS + ms * MS, ms, image) for ms in range(0, 3000, 40)]
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
    frames = (Frame(START_NS + i * 40 * MS, i, image) for i in range(200))
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
        return lambda: decoded.append(ms) or image()

    pipeline = Pipeline(BrightnessSegmenter())
    for ms in (100, 200, 300):
        pipeline.push(Frame(START_NS + ms * MS, ms, lazily(ms)))
    results = pipeline.run([Sound(START_NS, buzz(250), 16000)])
    assert next(results)[1].frame.index == 100 and decoded == [100]
    assert [pair.frame.index for _, pair in results] == [200, 300]
    assert decoded == [100, 200, 300]
