"""What a model says about one frame, before and after post-processing (NumPy only).

A :class:`Prediction` lives in the model's own frame; a :class:`Segmentation` in the input
image's.  Pixel coordinates: x to the right, y down, origin at the top left corner of the top
left pixel; boxes are ``(x0, y0, x1, y1)`` with exclusive right and bottom edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def sigmoid(logits: Any) -> Float:
    """1 / (1 + exp(-logits)), float32, without overflow."""
    # Beyond 60 the exponential would overflow; the result is 0 or 1 in float32 long before.
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0))), np.float32)


@dataclass(frozen=True)
class Layer:
    """One sounding thing or class that the model keeps apart from the others.

    ``probability``: float32 ``[h, w]``, 0..1, in the model frame; ``score``: 0..1.  ``index``:
    its number 1..254 where the model keeps one from frame to frame, else 0.  ``moving``: how much
    it moves beside what of its name moves most, 0..1 (1: that one, or nothing is known).
    ``evidence``: how much each place speaks for the label, ``[h, w]``, 0..1, where the outline
    takes in more than what sounds (None: alike everywhere); it draws the attention point.
    """

    probability: Float
    label: str
    score: float
    index: int = 0
    moving: float = 1.0
    evidence: Float | None = None


@dataclass(frozen=True)
class Prediction:
    """A model's answer for one (frame, second of sound) pair, in the model frame.

    ``probability``: float32 ``[h, w]``, 0..1, stretched over the whole input image
    (the model sees the image resized without keeping the aspect, as AVSBench does).
    ``score``: 0..1, score that something visible is making the sound; a model that is
    calibrated scales it so that 0.5 is where its weight file accepts.
    ``label``: the unified label's name, "" for none; ``label_index``: its row in the visual
    vocabulary, -1 for none.  ``audio_label``/``audio_score``: the best AudioSet class heard.
    ``layers``: separate sources, if the model separates them.  ``gated``: the model has decided
    by its gate: ``layers`` is all that sounds, and without any nothing does.  ``ms``: stage ->
    milliseconds.
    """

    probability: Float
    score: float
    label: str
    label_index: int
    audio_label: str
    audio_score: float
    layers: tuple[Layer, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)
    gated: bool = False


@dataclass(frozen=True)
class Instance:
    """One sounding thing; ``index`` (1..254) is its value in the label mask.

    Models that follow things from frame to frame give each the same one as before; with others
    they are numbered anew in each frame, the strongest first.
    """

    index: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    area_px: int


@dataclass(frozen=True)
class Segmentation:
    """The answer for one frame in the frame's own pixels.

    ``stamp_ns``: the frame's header stamp.  ``sounding``: whether anything is marked; ``score``:
    0..1.  ``point``: attention point [x, y] in pixels, None when nothing sounds.  ``area``: marked
    share of the image, 0..1.  ``coverage``: share of the sound window that was really heard,
    0..1; ``level_dbfs``: its level.  ``probability_map`` (float32 0..1) and ``label_map`` (uint8
    instance index) are kept at working resolution; the methods give them at image size.
    """

    stamp_ns: int
    width: int
    height: int
    sounding: bool
    score: float
    label: str
    audio_label: str
    audio_score: float
    instances: tuple[Instance, ...]
    point: tuple[float, float] | None
    area: float
    probability_map: Float
    label_map: Bytes
    threshold: float = 0.5
    coverage: float = 1.0
    level_dbfs: float = float("-inf")
    ms: Mapping[str, float] = field(default_factory=dict)

    def probability(self) -> Float:
        """Float32 ``[height, width]``, 0..1 (computed when asked for)."""
        size = (self.width, self.height)
        if self.probability_map.shape == (self.height, self.width):
            return self.probability_map
        out = cv2.resize(self.probability_map, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(out, dtype=np.float32)

    def label_mask(self) -> Bytes:
        """Uint8 ``[height, width]``: 0 nothing, i = instance i (computed when asked for).

        Outlines follow the interpolated probability, not the cells of the working resolution.
        """
        if self.label_map.shape != self.probability_map.shape:
            size = (self.width, self.height)
            return np.asarray(cv2.resize(self.label_map, size, interpolation=cv2.INTER_NEAREST))
        return upsample_labels(
            self.label_map, self.probability_map, self.threshold, self.width, self.height
        )

    def mask(self) -> Bytes:
        """Uint8 ``[height, width]``, 0 or 255: every pixel of every instance."""
        return np.where(self.label_mask() > 0, np.uint8(255), np.uint8(0))


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
