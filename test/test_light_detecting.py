"""The light model with a detector: networks, candidates, the explaining gate, and its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mask_filters import everywhere

from avs_ros.inference.candidates import CandidateReader, Candidates
from avs_ros.inference.explaining import (
    COMPANION_INPUTS,
    INPUTS,
    UNHEARD,
    VISIBLE,
    Background,
    ExplainingGate,
    Sight,
    SoundEvidence,
    companion_inputs,
    gate_inputs,
    of_instances,
)
from avs_ros.inference.instance_masks import OUTSIDE, SIDE, box_iou, raised
from avs_ros.inference.light import BUNDLED, LightSegmenter, create, detects
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.models.labels import audioset
from avs_ros.models.light.checkpoint import load_light, save_light
from avs_ros.models.light.detector import STRIDES, Detector
from recipes.c3n_light.categories import categories, classes_below, sound_classes


def outputs(objects: list[tuple[int, float, tuple[float, ...]]], rows: int = 4) -> dict[str, Any]:
    """Network outputs in which exactly these (class, score, box) are detected."""
    count = max(len(objects), 1)
    classes = np.full((1, count, rows), -12.0, np.float32)
    boxes = np.zeros((1, count, 4), np.float32)
    for i, (row, score, box) in enumerate(objects):
        classes[0, i, row] = np.log(score / (1 - score))
        boxes[0, i] = box
    return {
        "boxes": boxes,
        "objectness": np.full((1, count), 12.0, np.float32),
        "classes": classes,
        "filters": everywhere(count),
        "features": np.zeros((1, 2, 13, 13), np.float32),
        "cells": np.full((1, 3, 7, 7), 0.001, np.float32),
    }


def read(objects: list[tuple[int, float, tuple[float, ...]]], **changed: Any) -> Candidates:
    metadata = {"detector_rows": [[0], [1, 2], []]}
    return CandidateReader(metadata)({**outputs(objects), **changed})


def around(mask: Any) -> Any:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / SIDE


def test_a_sound_lies_beneath_each_of_its_parents() -> None:
    for parent in ("Hands", "Human group actions"):
        below = {audioset().names[row] for row in classes_below(parent)}
        assert "Clapping" in below, parent


def test_anchor_points_cover_the_frame_at_three_strides() -> None:
    found = Detector(5).eval()(torch.zeros(1, 3, 64, 64))
    count = sum((64 // stride) ** 2 for stride in STRIDES)
    assert found.boxes.shape == (1, count, 4)
    assert found.classes.shape == (1, count, 5)
    assert found.features.shape[2:] == (8, 8)


def test_in_a_graph_the_stem_is_written_in_another_way() -> None:
    net = Detector(5).eval()
    frames = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(4)) * 255
    with torch.no_grad():
        graph = torch.jit.trace_module(net, {"focus": frames})
    torch.testing.assert_close(graph.focus(frames), net.focus(frames), rtol=1e-4, atol=1e-3)


def test_a_category_takes_the_best_of_its_classes_and_overlapping_boxes_are_one() -> None:
    found = read([(1, 0.6, (0.1, 0.1, 0.5, 0.5)), (2, 0.8, (0.1, 0.1, 0.5, 0.52)),
                  (1, 0.7, (0.6, 0.6, 0.9, 0.9))])  # fmt: skip
    np.testing.assert_allclose(found.score, [0, 0.8, 0], atol=1e-3)
    kept = found.instances(1)
    assert [round(one.score, 1) for one in kept] == [0.8, 0.7]


def test_the_mask_lies_in_the_boxes_of_what_is_marked() -> None:
    mask = read([(1, 0.9, (0.25, 0.25, 0.5, 0.75))]).mask(1) > 0
    assert box_iou(around(mask), np.array([0.25, 0.25, 0.5, 0.75])) > 0.85


def test_without_an_instance_the_cells_of_the_class_head_make_the_mask() -> None:
    cells = np.full((1, 3, 7, 7), 0.001, np.float32)
    cells[0, 2, 1:3, 4:6] = 0.9
    mask = read([], cells=cells).mask(2) > 0
    assert mask[int(2 / 7 * SIDE), int(5 / 7 * SIDE)]
    assert not mask[int(5 / 7 * SIDE), int(1 / 7 * SIDE)]
    assert 0.02 < mask.mean() < 0.3


def test_the_object_that_holds_the_cells_lends_them_its_extent() -> None:
    cells = np.full((1, 3, 7, 7), 0.001, np.float32)
    cells[0, 2, 1:4, 2:5], cells[0, 2, 2, 3] = 0.45, 0.9
    whole, part, other = (0.2, 0.1, 0.8, 0.7), (0.42, 0.3, 0.52, 0.4), (0.82, 0.5, 0.99, 0.9)
    found = read([(3, 0.5, box) for box in (part, other, whole)], cells=cells)
    assert box_iou(around(found.mask(2) > 0), np.array(whole)) > 0.8
    # The cells go on telling where in it the category is; an instance is all of it.
    evidence = found.evidence(2)
    assert evidence is not None and evidence.max() == 1.0
    assert np.unravel_index(evidence.argmax(), evidence.shape)[0] // (SIDE // 7) == 2
    assert read([(1, 0.9, whole)], cells=cells).evidence(1) is None
    # Of two that hold them alike, the one that is more of an object.
    wider = (0.1, 0.05, 0.9, 0.85)
    for box, things in ((whole, [3.0, -2.5]), (wider, [-2.5, 3.0])):
        objectness = np.array([things], np.float32)
        found = read([(3, 0.5, one) for one in (whole, wider)], cells=cells, objectness=objectness)
        assert box_iou(around(found.mask(2) > 0), np.array(box)) > 0.8


def test_what_no_object_holds_keeps_its_cells() -> None:
    cells = np.full((1, 3, 7, 7), 0.001, np.float32)
    cells[0, 2, 1:6, 0:4] = 0.9
    mask = read([(3, 0.5, (0.6, 0.6, 0.95, 0.95))], cells=cells).mask(2) > 0
    assert mask[SIDE // 2, SIDE // 4]
    assert not mask[int(0.8 * SIDE), int(0.8 * SIDE)]
    # Of a category that the class head does not know nothing is shown: the likeliest object is.
    nothing = np.zeros((1, 3, 7, 7), np.float32)
    box = (0.5, 0.5, 0.9, 0.95)
    found = read([(3, 0.5, box)], cells=nothing)
    assert box_iou(around(found.mask(2) > 0), np.array(box)) > 0.8


def test_visible_weighs_instances_more_than_cells() -> None:
    cells = np.full((1, 3, 7, 7), 0.001, np.float32)
    cells[0, 2] = 0.8
    found = read([(0, 0.8, (0.1, 0.1, 0.4, 0.4))], cells=cells)
    seen = Background(None).sight(found.score, found.peak).visible
    assert seen[0] > 0 > seen[2] > VISIBLE > seen[1]


def test_cells_and_sounds_count_by_what_they_are_elsewhere() -> None:
    """The same cell stands out where it is rare; an instance does so anywhere."""
    usual = {"cells": [[-5.0, -2.0, 0.0], [1.0, 1.0, 0.0]],
             "sound": [[-6.0, -2.0, -4.0], [2.0, 2.0, 0.0]]}  # fmt: skip
    background = Background(usual)
    peak = np.full(3, np.exp(-2.0), np.float32)
    sight = background.sight(np.zeros(3, np.float32), peak)
    np.testing.assert_allclose(sight.unusual, [3.0, 0.0, 0.0], atol=1e-5)
    assert np.ptp(sight.visible) < 1e-6
    np.testing.assert_allclose(background.heard(np.full(3, -2.0, np.float32)), [2.0, 0.0, 0.0])
    # Nothing is known of a third category's cells: instances alone make it stand out.
    score = np.array([0.0, 0.0, 0.9], np.float32)
    assert background.sight(score, peak).unusual[2] == of_instances(score).unusual[2] > 4
    # A file that says nothing of it: all evidence is as usual.
    assert not Background(None).heard(np.full(3, 5.0, np.float32)).any()
    extreme = background.sight(np.zeros(3, np.float32), np.array([1.0, 0.0, 1.0], np.float32))
    assert extreme.unusual.max() <= 6 and extreme.unusual.min() >= -2


def test_a_second_sound_is_weighed_against_what_the_first_lets_hear() -> None:
    """A dog lets a cat be heard at -3: at -3 nothing speaks for the cat, at 0 much does."""
    usual = [[[0.0, -3.0, -9.0], [-6.0, 0.0, -9.0], [-9.0, -9.0, 0.0]],
             [[1.0, 1.5, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]]  # fmt: skip
    background = Background({"alone": usual})
    found = background.unexplained(np.array([0.0, -3.0, -9.0], np.float32), 0)
    np.testing.assert_allclose(found, [0.0, 0.0, 0.0], atol=1e-6)
    found = background.unexplained(np.array([0.0, 0.0, 20.0], np.float32), 0)
    np.testing.assert_allclose(found, [0.0, 2.0, 8.0], atol=1e-6)
    # Nothing is known of what the last one lets hear of itself, nor by earlier files of anything.
    assert background.unexplained(np.full(3, 5.0, np.float32), 2)[2] == 0.0
    assert not Background(None).unexplained(np.full(3, 5.0, np.float32), 0).any()
    inputs = np.zeros((3, INPUTS), np.float32)
    inputs[:, 0] = 0.0, 0.0, -9.0
    inputs[:, 4] = 3.0, 3.0, -9.0
    logits = np.array([2.0, -1.0, -5.0], np.float32)
    beside = companion_inputs(inputs, logits, 0, background)
    assert beside.shape == (3, COMPANION_INPUTS)
    np.testing.assert_allclose(
        beside[:, INPUTS:], [[2, 2, 0, 0, -2], [-1, 2, 0, 2, 5], [-5, 2, -9, 0, -2]], atol=1e-6)


def test_evidence_has_three_levels_and_special_sounds_lend_their_name() -> None:
    evidence = SoundEvidence({
        "sound_classes": ["person", "baby", "violin"], "category": [0, 0, 1], "categories": 2,
        "direct": [[0], [1], [2]], "branch": [[], [], [3]], "root": [[], [], [4]],
    })  # fmt: skip
    logits = np.full(527, -9.0, np.float32)
    logits[[1, 3, 4]] = 1.0, 2.0, 3.0
    own, branch, root, besides = evidence(logits).reshape(4, 2)
    np.testing.assert_allclose(own, [1.0, UNHEARD])
    np.testing.assert_allclose(branch, [UNHEARD, 2.0])
    np.testing.assert_allclose(root, [UNHEARD, 3.0])
    # Of a file that does not say what is usual, nothing stands out.
    assert not besides.any()
    assert evidence.name(0, ("person", "violin"), logits) == "baby"
    logits[0] = 1.5
    assert evidence.name(0, ("person", "violin"), logits) == "person"


def test_what_stands_out_besides_is_of_no_level_of_the_category() -> None:
    """Water speaks against a person, and neither the violin's own music nor a room does."""
    tables = {
        "sound_classes": ["person", "baby", "violin"], "category": [0, 0, 1], "categories": 2,
        "direct": [[0], [1], [2]], "branch": [[], [], [3]], "root": [[], [], [4]], "ambient": [5],
    }  # fmt: skip
    usual = np.stack([np.full(527, -6.0), np.full(527, 2.0)])
    evidence = SoundEvidence(tables, usual)
    logits = np.full(527, -6.0, np.float32)
    logits[[1, 3, 4, 5, 9]] = -2.0, 2.0, 6.0, 9.0, 0.0
    # Of the person's: the violin's root, 12 above what is usual.  Of the violin's: class 9.
    np.testing.assert_allclose(evidence(logits).reshape(4, 2)[3], [6.0, 3.0])
    logits[9] = -3.0
    np.testing.assert_allclose(evidence(logits).reshape(4, 2)[3], [6.0, 2.0])
    logits[4] = 40.0
    assert evidence(logits).reshape(4, 2)[3, 0] == 8.0


def test_every_level_and_a_pause_reach_the_gate() -> None:
    rng = np.random.default_rng(0)
    now, context, seen, unusual = (rng.normal(size=n).astype(np.float32) for n in (8, 8, 2, 2))
    background = Background({"cells": [[0.0] * 2, [1.0] * 2], "sound": [[0.0] * 2, [1.0] * 2]})
    plain = gate_inputs(now, context, Sight(seen, unusual), 0.0, background)
    assert plain.shape == (2, INPUTS)
    for other in (gate_inputs(now + 1, context, Sight(seen, unusual), 0.0, background),
                  gate_inputs(now, context + 1, Sight(seen, unusual), 0.0, background),
                  gate_inputs(now, context, Sight(seen + 1, unusual), 0.0, background),
                  gate_inputs(now, context, Sight(seen, unusual + 1), 0.0, background),
                  gate_inputs(now, context, Sight(seen, unusual), -20.0, background),
                  gate_inputs(now, context, Sight(seen, unusual), 0.0, Background(None)),
                  ):  # fmt: skip
        assert np.abs(other - plain).max() > 0.1
    told = {"mean": [0.0] * INPUTS, "spread": [2.0] * INPUTS,
            "hidden": [[0.1] * INPUTS, [0.0] * INPUTS], "hidden_bias": [0.0, 0.3],
            "weights": [2.0, 1.0], "bias": -1.0}  # fmt: skip
    expected = 2 * np.tanh(0.05 * plain.sum(axis=1)) + np.tanh(0.3) - 1
    np.testing.assert_allclose(ExplainingGate(told)(plain), expected, rtol=1e-5)
    # A gate of an earlier file knows the first of them only.
    fewer = {**told, "mean": [0.0] * 15, "spread": [2.0] * 15,
             "hidden": [[0.1] * 15, [0.0] * 15]}  # fmt: skip
    expected = 2 * np.tanh(0.05 * plain[:, :15].sum(axis=1)) + np.tanh(0.3) - 1
    np.testing.assert_allclose(ExplainingGate(fewer)(plain), expected, rtol=1e-5)


def test_the_table_of_categories_holds_together() -> None:
    names = [category.name for category in categories()]
    assert len(set(names)) == len(names) >= 90
    assert {sound.category for sound in sound_classes()} == set(names)
    violin = next(sound for sound in sound_classes() if sound.name == "violin")
    heard = audioset().names
    assert "Violin, fiddle" in {heard[i] for i in violin.direct}
    assert "Bowed string instrument" in {heard[i] for i in violin.branch}
    assert "Music" in {heard[i] for i in violin.root}


@pytest.mark.skipif(not detects(BUNDLED), reason="the package's light file has no detector")
def test_the_file_keeps_its_parts_and_one_without_detector_still_works(tmp_path: Path) -> None:
    model = load_light(BUNDLED)
    assert model.detector is not None
    assert model.short_audio is not None
    older = {k: v for k, v in model.metadata.items() if k not in ("kind", "build", "detecting")}
    save_light(tmp_path / "older.safetensors", model.network, older.pop("names"), older)
    plain = create("older", "torch", "cpu", checkpoint=tmp_path / "older.safetensors")
    whole = create("c3n_light", "torch", "cpu")
    try:
        assert isinstance(plain, LightSegmenter)
        assert isinstance(whole, DetectingSegmenter)
        frame = np.zeros((96, 128, 3), np.uint8)
        for segmenter in (plain, whole):
            answer = segmenter.step(frame, np.zeros(16000, np.float32), 0)
            assert answer.layers == ()
            assert answer.gated
    finally:
        plain.close()
        whole.close()


def test_a_timid_mask_is_raised_within_what_it_may_cover() -> None:
    mask = np.full((SIDE, SIDE), OUTSIDE, np.float32)
    mask[10:14, 20:26] = -3.0
    marked = raised(mask) > 0
    assert marked[10:14, 20:26].all()
    assert marked.sum() == 24


def test_a_hiss_is_no_cat() -> None:
    """AudioSet's Hiss lies beneath Cat, and beneath steam and snakes: white noise is none."""
    cat = next(sound for sound in sound_classes() if sound.name == "cat")
    names = {audioset().names[row] for row in cat.direct}
    assert {"Cat", "Meow", "Purr"} <= names and "Hiss" not in names
