"""Answers brought to the size of their truth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avs_ros.evaluation.frame_scores import ScoredFrame


def fitted(frame: ScoredFrame) -> ScoredFrame:
    """``frame`` with mask, probability, boxes and point at the size of its truth."""
    if frame.truth is None or frame.mask.shape == frame.truth.shape:
        return frame
    height, width = frame.truth.shape
    sx, sy = width / frame.mask.shape[1], height / frame.mask.shape[0]
    mask = cv2.resize(frame.mask, (width, height), interpolation=cv2.INTER_NEAREST)
    probability, point = frame.probability, frame.point
    if probability is not None:
        probability = np.asarray(cv2.resize(probability, (width, height)), np.float32)
    return replace(
        frame,
        mask=np.asarray(mask),
        probability=probability,
        boxes=[(x0 * sx, y0 * sy, x1 * sx, y1 * sy) for x0, y0, x1, y1 in frame.boxes],
        point=None if point is None else (point[0] * sx, point[1] * sy),
    )
