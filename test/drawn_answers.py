"""Segmentations with given boxes and names."""

from __future__ import annotations

import numpy as np

from avs_ros.segmentation import Instance, Segmentation


def answer(
    width: int, height: int, boxes: list[tuple[int, int, int, int]], labels: list[str],
    level: float = -20.0, point: tuple[float, float] | None = None,
) -> Segmentation:
    label_map = np.zeros((height, width), np.uint8)
    instances = []
    for index, ((x0, y0, x1, y1), label) in enumerate(zip(boxes, labels, strict=True), start=1):
        label_map[y0:y1, x0:x1] = index
        instances.append(Instance(index, label, 0.9, (x0, y0, x1, y1), (x1 - x0) * (y1 - y0)))
    return Segmentation(
        0, width, height, bool(boxes), 0.9, labels[0] if labels else "", "Meow", 0.7,
        tuple(instances), point, 0.1, (label_map > 0).astype(np.float32), label_map,
        level_dbfs=level,
    )
