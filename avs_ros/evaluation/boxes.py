"""Boxes ``(x0, y0, x1, y1)`` in pixels, right and bottom edges exclusive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]


def box_of(mask: NDArray[Any]) -> Box | None:
    """Smallest box around everything above 0 in ``[h, w]``; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return (
        float(columns[0]),
        float(rows[0]),
        float(columns[-1] + 1),
        float(rows[-1] + 1),
    )


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def best_overlap(boxes: Sequence[Box], truths: Sequence[Box]) -> float | None:
    """Mean over ``truths`` of the IoU of the best of ``boxes``; None without a truth."""
    if not truths:
        return None
    found = [max((box_iou(box, truth) for box in boxes), default=0.0) for truth in truths]
    return sum(found) / len(found)


def filled(boxes: Sequence[Box], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``[h, w]``: pixels whose centre lies in one of ``boxes``."""
    out = np.zeros(shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        rows, columns = slice(_edge(y0), _edge(y1)), slice(_edge(x0), _edge(x1))
        out[rows, columns] = True
    return out


def _edge(value: float) -> int:
    return max(0, math.ceil(value - 0.5))
