"""Scores of recordings for which the answer is known beforehand, replayed from bags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import BrightnessSegmenter

from avs_ros.evaluation import metrics
from avs_ros.evaluation.bag_making import SceneWriter
from avs_ros.evaluation.label_sets import LabelSets, categories_of, read_label_sets
from avs_ros.evaluation.replay import Replay, ReplayOptions
from avs_ros.segmentation import Bytes, Float, Layer, Prediction

START = 1_700_000_000_000_000_000
TENTH = 100_000_000
SIZE = (64, 48)
MARKED = (16, 12, 48, 36)  # the middle quarter
Scripted_ = Callable[[int], tuple[tuple[int, int, int, int], str] | None]


class Scripted(BrightnessSegmenter):
    """Marks what a script says for the n-th image: a box and a name, or nothing."""

    def __init__(self, script: Scripted_, heard: str = "Bark") -> None:
        super().__init__()
        self.script, self.heard = script, heard

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        answer = self.script((stamp_ns - START) // TENTH)
        shown = np.zeros(frame.shape[:2], np.float32)
        if answer is None:
            return Prediction(shown, 0.0, "", -1, "Silence", 1.0)
        (x0, y0, x1, y1), name = answer
        shown[y0:y1, x0:x1] = 1.0
        layers = (Layer(shown, name, 1.0),)
        return Prediction(shown, 1.0, name, 0, self.heard, 1.0, layers)


def bag(
    path: Path, truth: Callable[[int], tuple[int, int, int, int] | None], name: str = "dog",
    boxes: bool = False, frames: int = 20, late_ns: int = 0,
) -> Path:
    """Noise for two seconds, an image every tenth; ``late_ns``: the sound ends so much early."""
    noise = np.random.default_rng(0).normal(0, 3000, 32000 - late_ns * 16 // 1_000_000)
    with SceneWriter(path) as writer:
        writer.sound(START, noise.astype(np.int16), 16000)
        for n in range(1, frames + 1):
            stamp = START + n * TENTH
            writer.image(stamp, np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
            box = truth(n)
            if boxes:
                floats = [] if box is None else [(name, tuple(map(float, box)))]
                writer.boxes(stamp, SIZE, floats)  # type: ignore[arg-type]
                continue
            mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
            if box is not None:
                mask[box[1] : box[3], box[0] : box[2]] = 1
            writer.truth(stamp, mask, [name] if box else [])
    return path


def scores(
    path: Path, script: Scripted_, names: LabelSets | None = None, heard: str = "Bark"
) -> Any:
    replay = Replay(Scripted(script, heard), ReplayOptions(names=names))
    replay.run(path)
    return replay.sheet.result()


def always(n: int) -> tuple[tuple[int, int, int, int], str]:
    return MARKED, "beagle"


def test_reaction_times_count_from_the_change_and_tell_what_was_missed(tmp_path: Path) -> None:
    # Sounds from 5 to 9, from 13 to 14, silent again from 15.
    path = bag(tmp_path / "a.mcap", lambda n: MARKED if 5 <= n < 10 or n in (13, 14) else None)
    found = scores(path, lambda n: (MARKED, "dog") if 7 <= n < 11 else None)
    assert found["onset_ms"] == pytest.approx(200) and found["offset_ms"] == pytest.approx(50)
    assert (found["onsets"], found["onsets_missed"]) == (2, 1)
    assert (found["offsets"], found["offsets_missed"]) == (2, 0)


def test_flicker_is_what_changes_while_the_truth_stays(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", lambda n: MARKED)
    # Every other image only the left half: IoU of neighbours is a half.
    half = (16, 12, 32, 36)
    found = scores(path, lambda n: (MARKED if n % 2 else half, "dog"))
    assert found["flicker"] == pytest.approx(0.5, abs=0.02)
    assert scores(path, always)["flicker"] == 0


def test_the_attention_point(tmp_path: Path) -> None:
    left = (0, 0, 8, 48)
    path = bag(tmp_path / "a.mcap", lambda n: left if n <= 5 else MARKED)
    found = scores(path, always)
    assert found["pointing"] == pytest.approx(0.75)


def test_names_from_what_is_seen_and_what_is_heard(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", lambda n: MARKED, name="dog_barking")
    found = scores(path, lambda n: (MARKED, "beagle" if n <= 15 else "tabby"))
    assert found["label_accuracy"] == pytest.approx(0.75) and found["heard_accuracy"] == 1
    assert found["classes"]["dog_barking"]["label_accuracy"] == pytest.approx(0.75)
    assert scores(path, always, heard="Meow")["heard_accuracy"] == 0
    own = bag(tmp_path / "b.mcap", lambda n: MARKED, name="thingamajig")
    assert scores(own, always)["label_accuracy"] == 0
    sets = tmp_path / "names.json"
    sets.write_text('{"Thingamajig": {"visible": ["Beagle"], "audible": ["bark"]}}')
    found = scores(own, always, names=read_label_sets(sets))
    assert found["label_accuracy"] == found["heard_accuracy"] == 1
    assert categories_of("Bark") == categories_of("dog_bark") == {"dog"}


def test_the_sound_that_ends_before_its_frame_is_the_sync_error(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", lambda n: MARKED, late_ns=150_000_000)
    found = scores(path, always)["sync_error_ms"]
    assert found["p50"] == pytest.approx(0, abs=1)
    assert found["p99"] == pytest.approx(150, abs=20)  # only the last two images


def test_boxes_are_scored_as_in_vggss(tmp_path: Path) -> None:
    # The answer covers 32 x 24; the truth is as high and 32, 48 or 8 wide: IoU 1, 2/3 and 1/4.
    def truth(n: int) -> tuple[int, int, int, int] | None:
        return None if n > 15 else (16, 12, {0: 48, 1: 64, 2: 24}[n % 3], 36)

    found = scores(bag(tmp_path / "a.mcap", truth, boxes=True), always)
    ious = [1.0, 2 / 3, 0.25]
    assert found["c_iou"] == pytest.approx(2 / 3)
    assert found["auc"] == pytest.approx(metrics.success_auc(ious))
    assert found["box_c_iou"] == pytest.approx(2 / 3)
    assert found["m_j"] is None and found["m_f"] is None and found["mask_frames"] == 0
    assert found["frames"] == 20 and found["silent_frames"] == 5
    assert found["false_positive_rate"] == pytest.approx(0.25)
    assert found["pointing"] == pytest.approx(2 / 3) and found["label_accuracy"] == 1
    # Masks of the same rectangles come to the same.
    masked = scores(bag(tmp_path / "b.mcap", truth), always)
    assert masked["c_iou"] == found["c_iou"] and masked["auc"] == pytest.approx(found["auc"])
    assert masked["m_j_sounding"] == pytest.approx(np.mean(ious), abs=1e-6)


def test_the_area_under_the_success_curve() -> None:
    assert metrics.success_auc([]) is None
    assert metrics.success_auc([1.0, 1.0]) == 1.0
    assert metrics.success_auc([0.0]) == pytest.approx(0.025)
    # Reaches 0 … 0.5, eleven thresholds: ten full trapezoids and a half one.
    assert metrics.success_auc([0.5]) == pytest.approx(0.525)


def test_m_f_shares_a_threshold_within_a_batch_of_one_recording(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", lambda n: MARKED, frames=7)
    replay = Replay(Scripted(always), batch_frames=5)
    replay.run(path)
    replay.run(path, "again")
    sheet = replay.sheet
    assert sheet.result()["m_f"] == pytest.approx(1.0)
    # The second batch of each recording, two frames, is wrong: half of the batches.
    for part in sheet._rows:
        part[5:] = [replace(row, curve=np.zeros(255, np.float32), iou=0.0) for row in part[5:]]
    found = sheet.result()
    assert found["m_f"] == pytest.approx(0.5) == found["m_j"]
    assert found["m_j_frames"] == pytest.approx(5 / 7)
