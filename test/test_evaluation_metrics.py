from __future__ import annotations

import numpy as np
import pytest
from generated_weights import REFERENCE

from avs_ros.errors import DatasetError
from avs_ros.evaluation import metrics


def sigmoid(x: np.ndarray) -> np.ndarray:
    import torch

    return torch.sigmoid(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("case", range(6))
def test_scores_are_those_of_the_published_code(case: int) -> None:
    data = np.load(REFERENCE / "metrics.npz")
    p, t = sigmoid(data[f"{case}_logits"]), data[f"{case}_gt"]
    assert np.allclose(metrics.frame_iou(p, t), data[f"{case}_iou_frame"], atol=1e-6)
    for batch in (5, 20):
        parts = [slice(i, i + batch) for i in range(0, 20, batch)]
        iou = [metrics.m_j(p[part], t[part]) for part in parts]
        f = [metrics.batch_f(p[part], t[part]) for part in parts]
        assert np.allclose(iou, data[f"{case}_miou_b{batch}"], atol=1e-6)
        assert np.allclose(f, data[f"{case}_fmeasure_b{batch}"], atol=1e-6)
        assert metrics.m_j(p, t, batch=batch) == pytest.approx(np.mean(iou), abs=1e-9)
        assert metrics.m_f(p, t, batch=batch) == pytest.approx(np.mean(f), abs=1e-9)
    single = [metrics.batch_f(p[n : n + 1], t[n : n + 1]) for n in range(20)]
    assert np.allclose(single, data[f"{case}_f_frame"], atol=1e-6)


def test_f_depends_on_the_batch_and_the_free_form_does_not() -> None:
    rng = np.random.default_rng(0)
    t = (rng.random((8, 16, 16)) > 0.6).astype(np.uint8)
    scale = np.linspace(0.2, 1.0, 8)[:, None, None]
    p = (0.7 * t + 0.3 * rng.random(t.shape)) * scale  # each frame has a best threshold of its own
    assert metrics.m_f(p, t, batch=1) > metrics.m_f(p, t, batch=8)
    order = rng.permutation(8)
    assert metrics.m_f(p[order], t[order]) == pytest.approx(metrics.m_f(p, t))


def test_uneven_last_batch_weighs_as_much_as_a_full_one() -> None:
    t = np.ones((3, 4, 4), np.uint8)
    p = np.stack([np.ones((4, 4)), np.ones((4, 4)), np.zeros((4, 4))])
    assert metrics.m_j(p, t, batch=2) == pytest.approx(0.5)
    assert metrics.m_j(p, t) == pytest.approx(2 / 3)


def test_negative_audio_scores() -> None:
    p = np.zeros((2, 10, 10))
    p[0, :5] = 0.9
    assert metrics.false_positive_rate(p) == pytest.approx(0.25)
    assert metrics.any_mask_rate(p) == pytest.approx(0.5)
    # an unchanged mask under wrong sound is charged: 0.862 -> 0.238 (published figure)
    assert metrics.g_miou(0.862, 0.862) == pytest.approx(0.2379, abs=1e-4)
    assert metrics.g_miou(0.8, 0.0) == pytest.approx(2 * 0.8 / 1.8)
    assert metrics.g_miou(0.0, 1.0) == 0.0


def test_semantic_scores_count_a_class_only_where_it_occurs() -> None:
    truth = np.zeros((2, 4, 4), int)
    truth[0, :2] = 1
    predicted = truth.copy()
    predicted[1, 0] = 2  # a class that is nowhere annotated: IoU 0 on that frame
    scores = metrics.semantic_scores(predicted, truth, classes=4)
    class_iou = scores["class_iou"]
    assert isinstance(class_iou, np.ndarray)
    assert class_iou[1] == pytest.approx(1.0)
    assert class_iou[2] == 0.0 and np.isnan(class_iou[3])
    assert class_iou[0] == pytest.approx((1.0 + 12 / 16) / 2)
    assert scores["miou_no_background"] == pytest.approx(0.5)


def test_avss_scores_as_published_count_absent_classes_and_drop_the_last() -> None:
    """Worked by hand: class 1 is found on one of its two frames, class 2 is mistaken for 3."""
    truth = np.zeros((2, 4, 4), int)
    truth[:, :2] = 1
    truth[1, 3] = 2
    predicted = truth.copy()
    predicted[1, :2] = 0
    predicted[1, 3] = 3
    scores = metrics.avss_scores(predicted, truth, classes=5)
    # class 0: frame 0 perfect; frame 1 predicted 12, true 4, both 4
    iou_0, precision = (1 + 4 / 12) / 2, 4 / 12
    f_0 = (1 + 1.3 * precision / (0.3 * precision + 1)) / 2
    assert scores["miou"] == pytest.approx((iou_0 + 0.5) / 5)
    assert scores["f"] == pytest.approx((f_0 + 0.5) / 5)
    assert scores["miou_no_background"] == pytest.approx((iou_0 + 0.5) / 4)
    assert scores["f_no_background"] == pytest.approx((f_0 + 0.5) / 4)
    assert scores["binary_miou"] == pytest.approx(1.0)  # class 4, the last, occurs nowhere
    # background 0: frame 0 perfect; frame 1 finds the 4 pixels of class 2 out of 12
    assert metrics.binary_miou(predicted, truth) == pytest.approx((1 + 4 / 12) / 2)
    free = metrics.semantic_scores(predicted, truth, classes=5)
    assert free["miou"] == pytest.approx((iou_0 + 0.5) / 4)  # class 4 does not count


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"\[2, 4, 4\].*\[1, 4, 4\]"):
        metrics.m_j(np.zeros((2, 4, 4)), np.zeros((1, 4, 4)))
    with pytest.raises(DatasetError, match="at least 1 frame"):
        metrics.m_j(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), batch=0)
