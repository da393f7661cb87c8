"""How a film is to be looked at: the display matrix of its container, and its pixels' shape."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from avs_ros.segmentation import Bytes

# (transpose, flip left-right, flip top-bottom), in this order
Orientation = tuple[bool, bool, bool]
UPRIGHT: Orientation = (False, False, False)


def orientation_of(frame: Any) -> Orientation:
    """The nearest of the eight ways in which a decoded frame may have to be turned and mirrored.

    The matrix (ISO 14496-12, 16.16 fixed point) takes a pixel (x, y) to
    (m[0] x + m[3] y, m[1] x + m[4] y); a negative determinant mirrors.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX" and data.buffer_size >= 36:
            m = struct.unpack("=9i", bytes(data)[:36])
            if abs(m[1]) + abs(m[3]) > abs(m[0]) + abs(m[4]):
                return True, m[3] < 0, m[1] < 0
            return False, m[0] < 0, m[4] < 0
    return UPRIGHT


def oriented(image: Bytes, orientation: Orientation) -> Bytes:
    """``image`` uint8 ``[H, W, 3]`` turned and mirrored, contiguous."""
    transpose, left_right, top_bottom = orientation
    if transpose:
        image = image.transpose(1, 0, 2)
    if left_right:
        image = image[:, ::-1]
    if top_bottom:
        image = image[::-1]
    return np.ascontiguousarray(image)
