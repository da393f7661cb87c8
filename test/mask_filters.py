"""Filters of the mask head whose masks are known."""

from __future__ import annotations

import numpy as np

from avs_ros.segmentation import Float


def everywhere(count: int, width: int = 2, log_odds: float = 4.0) -> Float:
    """``[1, count, F]``: of anchors whose masks are ``log_odds`` wherever their boxes are."""
    layers = ((width + 2) * width + width, width * width + width, width + 1)
    filters = np.zeros((1, count, sum(layers)), np.float32)
    filters[..., -1] = log_odds
    return filters
