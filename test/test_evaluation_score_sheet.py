from __future__ import annotations

import numpy as np
import pytest

from avs_ros.errors import DatasetError
from avs_ros.evaluation import metrics
from avs_ros.evaluation.boxes import box_iou, box_of
from avs_ros.evaluation.score_sheet import ScoredFrame, ScoreSheet

MS = 1_000_000


def disc(on: bool = True, shift: int = 0) -> np.ndarray:
    mask = np.zeros((20, 40), np.uint8)
    if on:
        mask[5:15, 10 + shift : 20 + shift] = 255
    return mask


def test_a_perfect_answer() -> None:
    sheet = ScoreSheet()
    for n in range(7):
        sheet.add(
            ScoredFrame(
                n * 100 * MS, disc(), disc(), labels=["dog"], true_labels=["Dog"],
                boxes=[(10, 5, 20, 15)], point=(15, 10), latency_ms=50.0 + n,
            )
        )  # fmt: skip
    result = sheet.result()
    for name in ("m_j", "m_f", "m_j_frames", "pointing", "label_accuracy", "c_iou", "auc"):
        assert result[name] == pytest.approx(1.0, abs=1e-6), name
    assert result["flicker"] == 0.0 and result["silent_empty"] is None
    assert result["latency_ms"]["p50"] == 53.0
    assert result["classes"]["Dog"]["frames"] == 7


def test_batches_are_those_of_the_data_set_form() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((7, 12, 12)).astype(np.float32)
    t = (rng.random((7, 12, 12)) > 0.7).astype(np.uint8)
    sheet = ScoreSheet(batch_frames=3)
    for n in range(7):
        sheet.add(ScoredFrame(n, (p[n] > 0.5).astype(np.uint8), t[n], probability=p[n]))
    result = sheet.result()
    assert result["m_j"] == pytest.approx(metrics.m_j(p, t, batch=3), abs=1e-6)
    assert result["m_f"] == pytest.approx(metrics.m_f(p, t, batch=3), abs=1e-5)
    assert result["m_f_set"] == pytest.approx(metrics.m_f(p, t), abs=1e-5)


def test_marks_on_silent_frames_are_charged_separately() -> None:
    sheet = ScoreSheet()
    sheet.add(ScoredFrame(0, disc(), disc(False)))
    sheet.add(ScoredFrame(1, disc(False), disc(False)))
    result = sheet.result()
    assert result["silent_empty"] == 0.5
    assert result["false_positive_rate"] == pytest.approx(100 / 800 / 2)
    assert result["m_j_sounding"] is None


def test_reaction_times_follow_the_changes_of_the_truth() -> None:
    sheet = ScoreSheet()
    truth = [0, 0, 1, 1, 1, 1, 0, 0, 0]
    answer = [0, 0, 0, 0, 1, 1, 1, 0, 0]
    for n, (t, a) in enumerate(zip(truth, answer)):
        sheet.add(ScoredFrame(n * 100 * MS, disc(bool(a)), disc(bool(t))))
    result = sheet.result()
    assert result["onset_ms"] == pytest.approx(200.0)
    assert result["offset_ms"] == pytest.approx(100.0)


def test_flicker_ignores_changes_of_the_truth_and_of_the_recording() -> None:
    sheet = ScoreSheet()
    sheet.add(ScoredFrame(0, disc(), disc()))
    sheet.add(ScoredFrame(1, disc(False), disc(False)))  # the truth changed
    sheet.begin()
    sheet.add(ScoredFrame(2, disc(), disc()))  # another recording
    sheet.add(ScoredFrame(3, disc(shift=5), disc()))  # a real flicker: IoU 1/3
    assert sheet.result()["flicker"] == pytest.approx(2 / 3)


def test_missed_frames_are_told_and_nothing_is_an_error() -> None:
    sheet = ScoreSheet()
    for stamp in range(3):
        sheet.add(ScoredFrame(stamp, None, disc()))
    with pytest.raises(DatasetError, match="nothing to score"):
        sheet.result()
    sheet.add(ScoredFrame(3, disc(), disc()))
    assert sheet.result()["missed_frames"] == 3
    # A mask of another size is scored at that of its truth.
    assert sheet.add(ScoredFrame(4, disc().repeat(2, axis=0), disc())) == pytest.approx(1)


def test_boxes() -> None:
    assert box_of(disc()) == (10, 5, 20, 15)
    assert box_of(disc(False)) is None
    assert box_iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 1, 1), (5, 5, 6, 6)) == 0.0
