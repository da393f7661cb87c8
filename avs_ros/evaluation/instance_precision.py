"""Everything that could sound, found in photographs one by one: mask AP at an IoU of one half.

As COCO's AP50 for masks (T.-Y. Lin et al., *Microsoft COCO*, ECCV 2014), 101 points of recall.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.clip_arrays import read_image
from avs_ros.evaluation.composite_data import image_held
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.models.light.vocabulary import CATEGORIES
from avs_ros.segmentation import Bytes, Float, Layer, Prediction
from avs_ros.sound import SAMPLE_RATE

Bools = NDArray[np.bool_]
ENOUGH = 0.5
POINTS = np.linspace(0, 1, 101)


@runtime_checkable
class Finder(Protocol):
    """A segmenter that tells what could sound in the frame of its last step."""

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """See :class:`Segmenter`."""

    def reset(self) -> None:
        """See :class:`Segmenter`."""

    def in_sight(self) -> tuple[Layer, ...]:
        """See :class:`avs_ros.inference.avsc_light.InstanceSegmenter`."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """``things``: (category, mask bool ``[H, W]``); ``crowds``: the same, of uncounted many."""

    rgb: Bytes
    things: list[tuple[str, Bools]]
    crowds: list[tuple[str, Bools]]


def photographs(data: Path) -> Iterator[Photograph]:
    """COCO's held-out photographs of a data folder (see ``composite_data.read_dataset``)."""
    root = data / "images" / "coco_mini"
    named = {name: category.name for category in CATEGORIES for name in category.coco}
    for entry in json.loads((root / "annotations.json").read_text(encoding="utf-8"))["images"]:
        if not image_held("coco", str(entry["image_id"])):
            continue
        ids = read_image(root / entry["png"], cv2.IMREAD_UNCHANGED)
        found: tuple[list[tuple[str, Bools]], list[tuple[str, Bools]]] = [], []
        for segment in entry["segments"]:
            if segment["category"] in named:
                name = named[segment["category"]]
                found[bool(segment["iscrowd"])].append((name, ids == segment["id"]))
        yield Photograph(read_image(root / entry["file"]), *found)


@dataclass
class Precision:
    """Adds up matches; :meth:`of` gives a category's AP50."""

    things: dict[str, int] = field(default_factory=dict)
    found: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def add(self, answers: Sequence[Layer], truth: Photograph) -> None:
        """One photograph's.  What lies in a crowd counts neither way."""
        size = (truth.rgb.shape[1], truth.rgb.shape[0])
        for name, _ in truth.things:
            self.things[name] = self.things.get(name, 0) + 1
        left = list(truth.things)
        for one in sorted(answers, key=lambda layer: -layer.score):
            mask = np.asarray(cv2.resize(one.probability, size)) > 0.5
            fits = [mask_iou(mask, true) if name == one.label else 0.0 for name, true in left]
            best = int(np.argmax(fits)) if fits else -1
            right = bool(fits) and fits[best] >= ENOUGH
            crowded = any(
                name == one.label and (mask & crowd).sum() >= ENOUGH * mask.sum()
                for name, crowd in truth.crowds
            )
            if right:
                del left[best]
            if right or not crowded:
                self.found.setdefault(one.label, []).append((one.score, right))

    def of(self, category: str) -> float:
        """AP50, 0..1."""
        rows = sorted(self.found.get(category, []), key=lambda row: -row[0])
        if not rows:
            return 0.0
        right = np.cumsum([row[1] for row in rows])
        precision = right / np.arange(1, len(rows) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(right / self.things[category], POINTS)
        return float(np.where(place < len(rows), np.append(precision, 0.0)[place], 0.0).mean())

    def mean(self) -> float:
        """Over the categories that are shown; NaN without any."""
        return float(np.mean([self.of(name) for name in self.things] or [np.nan]))


def precision(model: Finder, shown: Iterator[Photograph]) -> Precision:
    """Ask about every photograph by itself, in silence."""
    out = Precision()
    for truth in shown:
        model.reset()
        model.step(truth.rgb, np.zeros(SAMPLE_RATE, np.float32), 0)
        out.add(model.in_sight(), truth)
    return out
