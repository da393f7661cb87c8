"""Masks at image size: smooth outlines, the same labels at every cell's centre."""

from __future__ import annotations

import numpy as np
import pytest

from avs_ros.segmentation import upsample_labels


def disc(cells: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:cells, :cells] + 0.5
    distance = np.hypot(columns - x, rows - y)
    return (1 / (1 + np.exp(distance - radius))).astype(np.float32)


def centres(mask: np.ndarray, factor: int) -> np.ndarray:
    return mask[factor // 2 :: factor, factor // 2 :: factor]


def test_cells_keep_their_labels_even_against_their_probability() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((20, 30), np.float32)
    labels = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    mask = upsample_labels(labels, probability, 0.5, 30 * 9, 20 * 9)
    assert mask.dtype == np.uint8
    assert np.array_equal(centres(mask, 9), labels)


def test_an_outline_is_as_round_as_the_thing() -> None:
    probability = disc(40, 20, 20, 12)
    labels = (probability > 0.5).astype(np.uint8)
    smooth = upsample_labels(labels, probability, 0.5, 400, 400)
    rows, columns = np.mgrid[:400, :400] + 0.5
    truth = np.hypot(columns - 200, rows - 200) < 120
    stairs = np.kron(labels, np.ones((10, 10), np.uint8))
    assert ((smooth > 0) != truth).sum() < 0.3 * ((stairs > 0) != truth).sum()


def test_hard_edges_stay_on_the_cells_borders() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[2:8, 3:7] = 1
    probability = np.where(labels > 0, 0.8, 0.0).astype(np.float32)
    mask = upsample_labels(labels, probability, 0.5, 100, 100)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (20, 80, 30, 70)
    assert mask.sum() == pytest.approx(60 * 40, rel=0.05)


def test_neighbours_meet_without_a_seam() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[2:8, 1:5], labels[2:8, 5:9] = 7, 3
    mask = upsample_labels(labels, np.where(labels > 0, 0.9, 0.1).astype(np.float32), 0.5, 80, 80)
    row = mask[40, 16:64]
    assert set(row) == {3, 7}
    assert (row[:23] == 7).all()
    assert (row[-23:] == 3).all()


@pytest.mark.parametrize("size", [(10, 10), (1, 1), (640, 360), (7, 93)])
def test_nothing_stays_nothing_at_any_size(size: tuple[int, int]) -> None:
    mask = upsample_labels(
        np.zeros((10, 10), np.uint8), np.ones((10, 10), np.float32), 0.5, *size)
    assert mask.shape == (size[1], size[0])
    assert not mask.any()


def test_the_same_size_is_left_alone() -> None:
    labels = np.eye(6, dtype=np.uint8)
    assert upsample_labels(labels, np.zeros((6, 6), np.float32), 0.5, 6, 6) is labels
