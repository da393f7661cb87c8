"""The mask of one instance: its filters on the frame's shared features, within its box."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from avs_ros.segmentation import Float

# Side of the masks, px, and log-odds of a pixel that an instance's box leaves out.
SIDE = 104
OUTSIDE = -8.0
# A mask whose best pixels stay below this is raised to it: whether it is marked is the gate's say.
LEAST_LOG_ODDS, TOP_SHARE = 1.0, 0.02
# A box is enlarged by this share of its size before it cuts its mask.
MARGIN = 0.04
# As in ``models.light.mask_head``.
FURTHEST, SMALLEST_BOX = 2.0, 0.01


def instance_logits(filters: Float, features: Float, box: Float) -> Float:
    """Mask log-odds ``[h, w]`` of one anchor: ``models.light.mask_head`` in NumPy.

    ``filters`` ``[F]``; ``features`` ``[C, h, w]``; ``box``: x0, y0, x1, y1 in shares of what they
    show.
    """
    width, h, w = features.shape
    places = [
        np.clip(
            ((np.arange(size, dtype=np.float32) + 0.5) / size - (box[low] + box[low + 2]) / 2)
            / (max(float(box[low + 2] - box[low]), SMALLEST_BOX) / 2),
            -FURTHEST, FURTHEST,
        )
        for low, size in ((0, w), (1, h))
    ]  # fmt: skip
    x = np.concatenate([
        features.reshape(width, -1),
        np.tile(places[0], h)[None],
        np.repeat(places[1], w)[None],
    ])  # fmt: skip
    at = 0
    for inputs, outputs in ((width + 2, width), (width, width), (width, 1)):
        end = at + inputs * outputs
        x = filters[at:end].reshape(outputs, inputs) @ x + filters[end : end + outputs, None]
        at = end + outputs
        x = np.maximum(x, 0) if outputs > 1 else x
    return np.asarray(x.reshape(h, w), np.float32)


def instance_mask(filters: Float, features: Float, box: Float) -> Float:
    """Log-odds ``[SIDE, SIDE]`` of one instance, see :func:`instance_logits`, within its box."""
    own = enlarged(np.clip(instance_logits(filters, features, box), -6, 6))
    return np.where(inside(box), own, OUTSIDE).astype(np.float32)


def raised(mask: Float) -> Float:
    """A mask that is right but timid, made visible (log-odds), within what it may cover."""
    own = mask[mask > OUTSIDE + 1]
    if not own.size:
        return mask
    count = max(1, int(own.size * TOP_SHARE))
    top = float(np.partition(own, -count)[-count:].mean())
    lift = np.float32(max(0.0, LEAST_LOG_ODDS - top))
    return np.where(mask > OUTSIDE + 1, mask + lift, mask).astype(np.float32)


def inside(box: Float) -> Any:
    """Bool ``[SIDE, SIDE]``: pixels of a box, a little enlarged."""
    w, h = (box[2] - box[0]) * MARGIN, (box[3] - box[1]) * MARGIN
    x0, y0, x1, y1 = np.array([box[0] - w, box[1] - h, box[2] + w, box[3] + h]) * SIDE
    grid = np.arange(SIDE) + 0.5
    return ((grid >= y0) & (grid <= y1))[:, None] & ((grid >= x0) & (grid <= x1))[None]


def box_iou(one: Float, other: Float) -> float:
    """Intersection over union of two boxes."""
    size = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.prod(np.maximum(size, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return both / max(sum(areas) - both, 1e-9)


def enlarged(maps: Float) -> Float:
    """A map ``[h, w]`` at the masks' size."""
    out = cv2.resize(np.asarray(maps, np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(out, np.float32)
