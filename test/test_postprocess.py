"""Probabilities become instances, boxes and a point to look at."""

import math
from dataclasses import replace

import numpy as np
import pytest

from avs_ros.errors import ParameterError
from avs_ros.gate import GateConfig
from avs_ros.instances import attention_point
from avs_ros.postprocess import PostprocessConfig, Postprocessor
from avs_ros.segmentation import Layer, Prediction
from avs_ros.streaming import Frame, Pair

STEP_NS = 100_000_000


def pair(height=480, width=640, stamp_ns=0, level_dbfs=-20.0) -> Pair:
    frame = Frame.of(stamp_ns, np.zeros((height, width, 3), np.uint8))
    return Pair(frame, np.zeros(16000, np.float32), 0.9, False, level_dbfs, 0.0)


def prediction(probability, sounding=0.9, label="tabby, tabby cat", heard="Meow", layers=()):
    array = np.asarray(probability, np.float32)
    return Prediction(array, sounding, label, 281, heard, 0.7, tuple(layers), {"net": 3.0})


def boxes(*areas: tuple[slice, slice, float], shape=(60, 80)) -> np.ndarray:
    out = np.full(shape, 0.1, np.float32)
    for rows, columns, value in areas:
        out[rows, columns] = value
    return out


TWO = boxes((slice(10, 20), slice(8, 16), 0.8), (slice(30, 50), slice(40, 70), 0.7))


def test_connected_parts_become_instances_in_input_pixels_strongest_first():
    result = Postprocessor().process(prediction(TWO), pair())
    large, small = result.instances
    assert (large.index, large.box, large.area_px) == (1, (320, 240, 560, 400), 600 * 64)
    assert (small.index, small.box, small.area_px) == (2, (64, 80, 128, 160), 80 * 64)
    assert (large.score, small.score) == (pytest.approx(0.7), pytest.approx(0.8))
    assert large.label == result.label == "tabby, tabby cat"
    assert result.area == pytest.approx(680 / 4800)
    assert result.point == pytest.approx((440, 320))
    assert (result.width, result.height, result.sounding) == (640, 480, True)
    assert (result.score, result.coverage, result.level_dbfs) == (pytest.approx(0.9), 0.9, -20.0)
    assert result.ms == {"net": 3.0}
    mask = result.label_mask()
    for instance in result.instances:
        x0, y0, x1, y1 = map(int, instance.box)
        # Corners are rounded where the probability is interpolated; nothing lies outside.
        assert (mask[y0:y1, x0:x1] == instance.index).mean() > 0.98
        assert (mask == instance.index).sum() == pytest.approx(instance.area_px, rel=0.02)


def test_a_number_that_a_layer_brings_is_the_instances_in_the_label_mask_too():
    layers = [
        Layer(boxes((slice(10, 30), slice(8, 28), 0.9)), "dog", 0.9, 7),
        Layer(boxes((slice(10, 20), slice(40, 50), 0.9)), "dog", 0.8, 254),
        Layer(boxes((slice(40, 50), slice(40, 50), 0.8)), "cat", 0.8),
    ]
    whole = np.max([layer.probability for layer in layers], axis=0)
    result = Postprocessor().process(prediction(whole, layers=layers), pair())
    assert [one.index for one in result.instances] == [7, 254, 1]
    assert set(np.unique(result.label_mask())) == {0, 1, 7, 254}


def test_layers_of_one_name_are_smoothed_by_their_numbers():
    post = Postprocessor(PostprocessConfig(smoothing=0.9))
    left = boxes((slice(10, 30), slice(8, 28), 0.9))
    right = boxes((slice(10, 30), slice(50, 70), 0.9))
    for step, (first, second) in enumerate(((left, right), (right, left))):
        layers = [Layer(first, "dog", 0.9, 3 + step), Layer(second, "dog", 0.9, 4 - step)]
        whole = np.maximum(left, right)
        result = post.process(prediction(whole, layers=layers), pair(stamp_ns=step * STEP_NS))
        found = {one.index: one.box[0] for one in result.instances}
        assert found == {3: 64.0, 4: 400.0}


def test_parts_that_touch_at_a_corner_are_one():
    probability = np.zeros((20, 20))
    probability[2:6, 2:6] = probability[6:10, 6:10] = 1.0
    assert len(Postprocessor().process(prediction(probability), pair()).instances) == 1


@pytest.mark.parametrize(
    ("change", "frame"),
    [
        ({"sounding": 0.49}, {}),
        ({}, {"level_dbfs": -60.1}),
        ({}, {"level_dbfs": -math.inf}),
    ],
)
def test_when_nothing_sounds_everything_is_empty(change, frame):
    result = Postprocessor().process(prediction(TWO, **change), pair(**frame))
    assert (result.sounding, result.instances, result.point, result.area) == (False, (), None, 0)
    assert result.label == "" and result.audio_label == "Meow"
    assert not result.probability().any() and not result.mask().any()
    assert result.mask().shape == (480, 640)


def test_the_silence_gate_can_be_opened():
    config = PostprocessConfig(gate=GateConfig(silence_dbfs=-math.inf))
    assert Postprocessor(config).process(prediction(TWO), pair(level_dbfs=-math.inf)).sounding


def test_small_instances_and_too_many_are_left_out():
    config = PostprocessConfig(min_area=100 / 4800)
    assert len(Postprocessor(config).process(prediction(TWO), pair()).instances) == 1
    config = PostprocessConfig(max_instances=1)
    result = Postprocessor(config).process(prediction(TWO), pair())
    assert [instance.area_px for instance in result.instances] == [600 * 64]
    assert (result.label_map > 0).sum() == 600
    config = PostprocessConfig(min_area=0.5)
    result = Postprocessor(config).process(prediction(TWO), pair())
    assert not result.sounding and result.label == "" and result.point is None


@pytest.mark.parametrize(
    ("config", "marked"),
    [
        ({"labels_keep": ("TABBY CAT",)}, True),
        ({"labels_keep": ("Tabby, Tabby Cat ",)}, True),
        ({"labels_keep": ("meow",)}, True),
        ({"labels_keep": ("dog",)}, False),
        ({"labels_keep": ("cat",)}, False),
        ({"labels_ignore": ("tabby",)}, False),
        ({"labels_ignore": ("MEOW",)}, False),
        ({"labels_ignore": ("dog",)}, True),
        ({"labels_keep": ("tabby",), "labels_ignore": ("meow",)}, False),
    ],
)
def test_labels_are_kept_or_ignored_by_what_is_seen_or_heard(config, marked):
    result = Postprocessor(PostprocessConfig(**config)).process(prediction(TWO), pair())
    assert result.sounding is marked
    assert bool(result.probability_map.any()) is marked


def test_layers_become_instances_of_their_own_label_and_share_no_pixel():
    cat = boxes((slice(10, 30), slice(10, 30), 0.9))
    dog = boxes((slice(20, 50), slice(20, 60), 0.8))
    layers = (Layer(cat, "cat", 0.6), Layer(dog, "dog", 0.95))
    both = prediction(np.maximum(cat, dog), layers=layers)
    result = Postprocessor().process(both, pair())
    assert [(i.label, i.score) for i in result.instances] == [("dog", 0.95), ("cat", 0.6)]
    assert (result.label_map == 2).sum() == 400  # the cat is more probable where they meet
    assert (result.label_map == 1).sum() == 1200 - 100
    only = PostprocessConfig(labels_ignore=("dog",))
    result = Postprocessor(only).process(both, pair())
    assert [instance.label for instance in result.instances] == ["cat"]
    assert result.label == "cat"
    assert result.probability_map.max() == pytest.approx(0.9)
    none = PostprocessConfig(labels_keep=("bird",))
    assert not Postprocessor(none).process(both, pair()).probability_map.any()


@pytest.mark.parametrize("size", [(480, 640), (31, 47), (1080, 1920), (60, 80)])
def test_the_point_lies_inside_its_instance(size):
    rows, columns = np.mgrid[:60, :80]
    radius = np.hypot(rows - 30, columns - 40)
    ring = ((radius > 18) & (radius < 26)).astype(np.float32)
    result = Postprocessor().process(prediction(ring), pair(*size))
    x, y = result.point
    assert result.label_mask()[int(y), int(x)] == 1


def test_the_point_is_weighted_by_probability():
    probability = np.zeros((10, 10), np.float32)
    probability[5, 2:8] = [0.6, 0.6, 0.6, 0.6, 0.6, 1.0]
    x, y = attention_point(probability, probability > 0.5)
    assert y == 5.5
    assert x == pytest.approx(np.average(np.arange(2.5, 8), weights=[0.6] * 5 + [1.0]))


def test_the_point_goes_where_the_evidence_of_an_outline_is():
    guitarist = np.zeros((60, 80), np.float32)
    guitarist[5:55, 20:60] = 1.0
    cells = np.zeros((60, 80), np.float32)
    cells[30:50, 40:70] = 1.0
    layer = Layer(guitarist, "guitar", 0.9)
    x, y = Postprocessor().process(prediction(guitarist, layers=(layer,)), pair()).point
    assert (x / 8, y / 8) == pytest.approx((40, 30))
    told = prediction(guitarist, layers=(replace(layer, evidence=cells),))
    result = Postprocessor().process(told, pair())
    x, y = result.point
    assert 45 < x / 8 < 50 and 35 < y / 8 < 40
    assert result.area == pytest.approx(2000 / 4800)  # the outline stays


def test_smoothing_follows_the_time_between_stamps():
    on, off = np.ones((4, 4)), np.zeros((4, 4))
    config = PostprocessConfig(smoothing=0.5, threshold=0.01)
    for dt_ns, kept in ((STEP_NS, 0.5), (STEP_NS // 2, 0.5**0.5), (3 * STEP_NS, 0.125)):
        process = Postprocessor(config).process
        process(prediction(on), pair(stamp_ns=10))
        result = process(prediction(off), pair(stamp_ns=10 + dt_ns))
        assert result.probability_map[0, 0] == pytest.approx(kept, rel=1e-5)


def test_smoothing_forgets_at_reset_silence_new_size_and_jumps_back():
    config = PostprocessConfig(smoothing=0.9, threshold=0.05)
    on, off = prediction(np.ones((4, 4))), prediction(np.zeros((4, 4)))
    later = pair(stamp_ns=STEP_NS)
    for forget in (
        lambda p: p.reset(),
        lambda p: p.process(on, pair(stamp_ns=STEP_NS // 2, level_dbfs=-90)),
        lambda p: p.process(off, pair(stamp_ns=-STEP_NS)),
    ):
        post = Postprocessor(config)
        post.process(on, pair())
        forget(post)
        assert post.process(off, later).probability_map.max() == 0
    post = Postprocessor(config)
    post.process(on, pair())
    assert post.process(prediction(np.zeros((8, 8))), later).probability_map.max() == 0


def test_smoothing_keeps_layers_apart():
    cat = Layer(np.ones((8, 8), np.float32), "cat", 1.0)
    dog = Layer(np.zeros((8, 8), np.float32), "dog", 1.0)
    post = Postprocessor(PostprocessConfig(smoothing=0.5, threshold=0.3))
    post.process(prediction(np.ones((8, 8)), layers=(cat, dog)), pair())
    gone = replace(cat, probability=np.zeros((8, 8), np.float32))
    later = prediction(np.ones((8, 8)), layers=(gone, dog))
    result = post.process(later, pair(stamp_ns=STEP_NS))
    assert [instance.label for instance in result.instances] == ["cat"]
    assert result.probability_map.max() == pytest.approx(0.5)


def test_hysteresis_holds_what_was_marked():
    post = Postprocessor(PostprocessConfig(hysteresis=0.2, gate=GateConfig(hold=0.7)))
    half = boxes((slice(0, 30), slice(0, 40), 0.4))
    assert not post.process(prediction(half), pair()).sounding
    full = boxes((slice(0, 30), slice(0, 20), 0.9))
    assert post.process(prediction(full), pair()).area == pytest.approx(600 / 4800)
    held = post.process(prediction(half, sounding=0.35), pair())
    assert held.area == pytest.approx(600 / 4800)  # only what was marked before
    assert not post.process(prediction(half, sounding=0.25), pair()).sounding
    assert not post.process(prediction(full, sounding=0.35), pair()).sounding


def test_the_config_may_be_replaced_at_any_time():
    post = Postprocessor()
    assert post.process(prediction(TWO), pair()).sounding
    post.config = replace(post.config, threshold=0.75)
    result = post.process(prediction(TWO), pair())
    assert len(result.instances) == 1 and result.threshold == 0.75


@pytest.mark.parametrize(
    "options",
    [{"threshold": 1.1}, {"threshold": math.nan}, {"min_area": 2},
     {"smoothing": 1.0}, {"smoothing": -0.1}, {"max_instances": 0}, {"max_instances": 255},
     {"hysteresis": 1.5}],
)
def test_settings_out_of_range_are_refused_by_name(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        PostprocessConfig(**options)
