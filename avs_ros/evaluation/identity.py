"""Things one by one: how well they are found, and whether each keeps its number.

In photographs everything that could sound is asked for: mask AP at an IoU of one half, as COCO's
AP50 for masks (T.-Y. Lin et al., *Microsoft COCO*, ECCV 2014), 101 points of recall.  In streams
identity switches are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.clip_arrays import read_image
from avs_ros.evaluation.composite_data import CATEGORY_OF_COCO, image_held
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.evaluation.run_files import read_json
from avs_ros.inference.segmenter import Segmenter
from avs_ros.segmentation import Bytes, Layer, Segmentation
from avs_ros.sound import SAMPLE_RATE

Bools = NDArray[np.bool_]
ENOUGH = 0.5
POINTS = np.linspace(0, 1, 101)
SAME = 0.5
# DAVIS has 24 frames a second; the data folder has every second one.
SEQUENCE_FPS = 12.0


@runtime_checkable
class Finder(Segmenter, Protocol):
    """A segmenter that tells what could sound in the frame of its last step."""

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
    for entry in read_json(root / "annotations.json")["images"]:
        if not image_held("coco", str(entry["image_id"])):
            continue
        ids = read_image(root / entry["png"], cv2.IMREAD_UNCHANGED)
        found: tuple[list[tuple[str, Bools]], list[tuple[str, Bools]]] = [], []
        for segment in entry["segments"]:
            if name := CATEGORY_OF_COCO.get(segment["category"]):
                found[bool(segment["iscrowd"])].append((name, ids == segment["id"]))
        yield Photograph(read_image(root / entry["file"]), *found)


@dataclass
class Precision:
    """Adds up matches; :meth:`of` gives a category's AP50."""

    things: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def add(self, answers: Sequence[Layer], truth: Photograph) -> None:
        """One photograph's.  What lies in a crowd counts neither way."""
        size = (truth.rgb.shape[1], truth.rgb.shape[0])
        self.things.update(name for name, _ in truth.things)
        left = list(truth.things)
        for one in sorted(answers, key=lambda layer: -layer.score):
            mask = np.asarray(cv2.resize(one.probability, size)) > 0.5
            fits = [mask_iou(mask, true) if name == one.label else 0.0 for name, true in left]
            right = max(fits, default=0.0) >= ENOUGH
            crowded = any(
                name == one.label and (mask & crowd).sum() >= ENOUGH * mask.sum()
                for name, crowd in truth.crowds
            )
            if right:
                del left[fits.index(max(fits))]
            if right or not crowded:
                self.found.setdefault(one.label, []).append((one.score, right))

    def of(self, category: str) -> float:
        """AP50, 0..1."""
        rows = sorted(self.found.get(category, []), key=lambda row: -row[0])
        right = np.cumsum([row[1] for row in rows])
        precision = np.maximum.accumulate((right / np.arange(1, len(rows) + 1))[::-1])[::-1]
        place = np.searchsorted(right / self.things[category], POINTS)
        return float(np.append(precision, 0.0)[place].mean())

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


@dataclass
class Identity:
    """``switches`` in ``seconds`` in which a thing was followed, of ``watched_s`` in all."""

    switches: int = 0
    seconds: float = 0.0
    watched_s: float = 0.0

    @property
    def per_minute(self) -> float:
        """Switches per minute of what was followed; NaN where nothing was."""
        return self.switches / (self.seconds / 60) if self.seconds else float("nan")

    @property
    def followed(self) -> float:
        """Share of the time."""
        return self.seconds / self.watched_s if self.watched_s else float("nan")


class MarkedIdentity:
    """Counts over the answers of a stream: a mark that overlaps one of the frame before (IoU of a
    half) and has another number is a switch.
    """

    def __init__(self) -> None:
        self.found = Identity()
        self._last: Segmentation | None = None
        self._labels: NDArray[np.uint8] = np.zeros((1, 1), np.uint8)

    def begin(self) -> None:
        """Another stream."""
        self._last = None

    def add(self, answer: Segmentation) -> None:
        """The next answer."""
        last, before = self._last, self._labels
        self._last, self._labels = answer, answer.label_map
        if last is None or before.shape != self._labels.shape:
            return
        elapsed_s = (answer.stamp_ns - last.stamp_ns) * 1e-9
        self.found.watched_s += elapsed_s
        for one in answer.instances:
            mask = self._labels == one.index
            met = (index for index in np.unique(before[mask]) if index)
            overlaps = {index: mask_iou(mask, before == index) for index in met}
            if overlaps and max(overlaps.values()) >= SAME:
                self.found.seconds += elapsed_s
                before_it = int(max(overlaps, key=lambda i: overlaps[i]))
                self.found.switches += before_it != one.index


def sequences(data: Path) -> Iterator[list[tuple[Path, Path]]]:
    """DAVIS's sequences of a data folder: (frame, mask) files in order."""
    root = data / "images" / "davis"
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        yield [(path, path.with_suffix(".png")) for path in sorted(folder.glob("*.jpg"))]


def follow(model: Finder, shown: Iterator[list[tuple[Path, Path]]]) -> Identity:
    """Whether the one true thing of each sequence keeps its number, whatever is heard.

    As in CLEAR MOT (K. Bernardin and R. Stiefelhagen, 2008) a number that still fits stands.
    """
    out = Identity()
    for files in shown:
        model.reset()
        last = 0
        for place, (frame, mask) in enumerate(files):
            stamp_ns = round(place / SEQUENCE_FPS * 1e9)
            rgb = read_image(frame)
            model.step(rgb, np.zeros(SAMPLE_RATE, np.float32), stamp_ns)
            true = read_image(mask, cv2.IMREAD_GRAYSCALE) > 0
            size = (true.shape[1], true.shape[0])
            fits = {
                one.index: mask_iou(np.asarray(cv2.resize(one.probability, size)) > 0.5, true)
                for one in model.in_sight() if one.index
            }  # fmt: skip
            out.watched_s += 1 / SEQUENCE_FPS
            if fits.get(last, 0.0) < SAME:
                index = max(fits, key=lambda i: fits[i], default=0)
                if fits.get(index, 0.0) < SAME:
                    continue
                out.switches += bool(last)
                last = index
            out.seconds += 1 / SEQUENCE_FPS
    return out
