"""Whether a thing keeps its number from frame to frame: identity switches per minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.clip_arrays import read_image
from avs_ros.evaluation.instance_precision import Finder
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.segmentation import Segmentation
from avs_ros.sound import SAMPLE_RATE

SAME = 0.5
# DAVIS has 24 frames a second; the data folder has every second one.
SEQUENCE_FPS = 12.0


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
