"""Label masks from working resolution to image size, without stairs (NumPy and OpenCV only)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# A cell's centre stays on its side of the threshold; beyond _SURE a probability says no more
# about where the outline runs, so that hard edges stay on the cells' borders.
_MARGIN, _SURE = 0.02, 0.25


def upsample_labels(
    label_map: Bytes, probability_map: Float, threshold: float, width: int, height: int
) -> Bytes:
    """Uint8 ``[height, width]`` of instance indices, from maps ``[h, w]`` of one size.

    Outlines run where the interpolated probability crosses ``threshold``; each cell's centre keeps
    the label (or the nothing) that post-processing gave it.  Between two instances the nearer
    wins.  An image smaller than the maps takes the nearest cells.
    """
    if label_map.shape == (height, width):
        return label_map
    size = (width, height)
    if height < label_map.shape[0] or width < label_map.shape[1]:
        return np.asarray(cv2.resize(label_map, size, interpolation=cv2.INTER_NEAREST))
    labels = np.unique(label_map)
    labels = labels[labels > 0]
    if labels.size == 0:
        return np.zeros((height, width), np.uint8)
    above = probability_map - np.float32(threshold)
    level = np.where(
        label_map > 0, np.clip(above, _MARGIN, _SURE), np.clip(above, -_SURE, -_MARGIN)
    ).astype(np.float32)
    marked = cv2.resize(level, size, interpolation=cv2.INTER_LINEAR) > 0
    if labels.size == 1:
        return np.where(marked, labels[0], np.uint8(0))
    nearest = np.zeros((height, width), np.uint8)
    most = np.zeros((height, width), np.uint8)
    for label in labels:
        own = np.where(label_map == label, np.uint8(255), np.uint8(0))
        share = np.asarray(cv2.resize(own, size, interpolation=cv2.INTER_LINEAR))
        closer = share > most
        nearest[closer] = label
        most = np.maximum(most, share)
    return np.where(marked, nearest, np.uint8(0))
