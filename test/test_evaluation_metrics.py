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
    # an unchanged mask under wrong sound is charged: 0.862 -> 0.238 (published figure)
    assert metrics.g_miou(0.862, 0.862) == pytest.approx(0.2379, abs=1e-4)
    assert metrics.g_miou(0.8, 0.0) == pytest.approx(2 * 0.8 / 1.8)
    assert metrics.g_miou(0.0, 1.0) == 0.0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"\[2, 4, 4\].*\[1, 4, 4\]"):
        metrics.m_j(np.zeros((2, 4, 4)), np.zeros((1, 4, 4)))
    with pytest.raises(DatasetError, match="at least 1 frame"):
        metrics.m_j(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), batch=0)
