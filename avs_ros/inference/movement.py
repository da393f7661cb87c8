"""How much things move: of several alike, the one that makes the sound mostly moves most.

A mono sound does not say which of three people speaks; a mouth and the hands beside it do, and so
does the drum that shakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from avs_ros.inference.instance_masks import SIDE
from avs_ros.segmentation import Bytes, Float, Layer

# Frames are compared over this time, at any frame rate; after a longer gap all begins anew.
SPACING_S, LONGEST_GAP_S = 0.2, 1.0
# So many comparisons tell at least, and count at most: the last second.  Their median does, so
# that somebody who passes in front of a thing does not count as its movement.
FEWEST, COMPARED = 3, 5
# What moves most must do so by this much (grey levels), and so many times as much as what is
# around, or nothing is told: of a camera that shakes everything moves.
LEAST, CLEARLY = 1.0, 2.0
BLUR = 5
# The camera's own movement is taken out up to this share of the image.
FURTHEST = 0.2
MARKED = 0.5
# What was kept before stays from this share of what it needs on, so that marks do not flicker.
STAYS = 0.6
# What is smaller than this share of the image says nothing of the others.
SMALLEST = 0.004


class Movement:
    """What moves in one stream, beyond the camera's own movement."""

    def __init__(self) -> None:
        self._changes: deque[Float] = deque(maxlen=COMPARED)
        self._kept: tuple[int, Float] | None = None
        self._numbers: set[int] = set()

    def reset(self) -> None:
        """Forget the past."""
        self._changes.clear()
        self._kept = None
        self._numbers = set()

    def see(self, stamp_ns: int, frame: Bytes) -> None:
        """The stream's next frame: uint8 RGB ``[H, W, 3]``."""
        if self._kept is not None:
            elapsed_s = (stamp_ns - self._kept[0]) * 1e-9
            if 0 <= elapsed_s < SPACING_S:
                return
            if not 0 < elapsed_s <= LONGEST_GAP_S:
                self.reset()
        small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (BLUR, BLUR), 0)
        now = np.asarray(grey, np.float32)
        if self._kept is not None:
            self._changes.append(_change(self._kept[1], now))
        self._kept = stamp_ns, now

    def kept(self, layers: Sequence[Layer], least: float) -> tuple[Layer, ...]:
        """Of several layers of one name those that move at least ``least`` (0..1) times as much
        as the one of them that moves most, with how much that is; all where nothing is told.

        One with a number that was kept before stays on less.
        """
        found = self._moving(layers, least)
        self._numbers = {one.index for one in found if one.index}
        return found

    def _moving(self, layers: Sequence[Layer], least: float) -> tuple[Layer, ...]:
        alike = len({layer.label for layer in layers}) < len(layers)
        if len(self._changes) < FEWEST or not alike or least <= 0:
            return tuple(layers)
        masks = [layer.probability > MARKED for layer in layers]
        around = ~np.logical_or.reduce(masks)
        rests = [float(np.median(one[around])) if around.any() else 0.0 for one in self._changes]
        rest = float(np.median(rests))
        own = [
            float(np.median([
                change[mask].mean() - still
                for change, still in zip(self._changes, rests, strict=True)
            ])) if mask.mean() >= SMALLEST else 0.0
            for mask in masks
        ]  # fmt: skip
        most: dict[str, float] = {}
        for layer, moves in zip(layers, own, strict=True):
            most[layer.label] = max(most.get(layer.label, 0.0), moves)
        found = []
        for layer, moves in zip(layers, own, strict=True):
            top = most[layer.label]
            share = max(moves, 0.0) / top if top >= max(LEAST, CLEARLY * rest) else 1.0
            if share >= least * (STAYS if layer.index in self._numbers else 1.0):
                found.append(replace(layer, moving=share))
        return tuple(found)


def _change(before: Float, now: Float) -> Float:
    """Difference of two grey images ``[SIDE, SIDE]``, the camera's movement taken out."""
    (x, y), _ = cv2.phaseCorrelate(before, now)
    if max(abs(x), abs(y)) <= FURTHEST * SIDE:
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        before = np.asarray(
            cv2.warpAffine(before, shift, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        )
    return np.asarray(np.abs(now - before), np.float32)
