"""What a model answers to the cases, and how good each answer is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from avs_ros.evaluation.composite import how_many_found
from avs_ros.evaluation.composite_scores import NEGLIGIBLE
from avs_ros.evaluation.label_sets import names_it
from avs_ros.inference.segmenter import Segmenter
from avs_ros.models.light.families import FAMILY_NAMES
from avs_ros.segmentation import Bytes, Prediction
from recipes.c3n_light.evaluate.cases import BOTH, MATCHED, NEW_TWO, TWO, Case
from recipes.c3n_light.pictures import IGNORE


@dataclass(frozen=True, eq=False)
class Answer:
    """Scores of one answer, 0..1; None where the case has no such score.

    ``area``: marked share of the picture; ``iou``: with what sounds; ``named``: whether a label
    is right, where something is marked; ``right``: share of the two things' marked pixels on the
    sounding one; ``by_area``: what marking both would give; ``found``: how many of two that sound
    (0..2) are marked, each under its own label; ``sounding``: the model's own figure.
    """

    case: Case
    area: float
    labels: tuple[str, ...]
    sounding: float
    audio_label: str
    iou: float | None = None
    named: float | None = None
    right: float | None = None
    by_area: float | None = None
    found: int | None = None

    @property
    def both(self) -> float | None:
        """1 where both of two that sound are marked."""
        return None if self.found is None else float(self.found == 2)

    @property
    def either(self) -> float | None:
        """1 where at least one of two that sound is marked."""
        return None if self.found is None else float(self.found >= 1)

    @property
    def empty(self) -> float:
        """1 where as good as nothing is marked."""
        return float(self.area < NEGLIGIBLE)


def marked(prediction: Prediction, size: tuple[int, int]) -> Bytes:
    """0|1 mask ``[H, W]`` of what the prediction marks."""
    if prediction.sounding < 0.5:
        return np.zeros(size, np.uint8)
    whole = cv2.resize(prediction.probability, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole > 0.5, np.uint8)


def ask(segmenter: Segmenter, cases: Iterable[Case]) -> Iterator[tuple[Answer, Bytes]]:
    """Each case's answer and mask 0|1; every case is a stream of its own."""
    for case in cases:
        segmenter.reset()
        prediction = segmenter.step(case.frame, case.window, 0)
        mask = marked(prediction, case.mask.shape)
        yield judge(case, prediction, mask), mask


def judge(case: Case, prediction: Prediction, mask: Bytes) -> Answer:
    """Score one answer; ``mask``: what it marks, 0|1 ``[H, W]``."""
    labels = tuple(layer.label for layer in prediction.layers)
    if not labels and prediction.label and mask.any():
        labels = (prediction.label,)
    iou = named = right = by_area = count = None
    found = mask > 0
    if case.kind == MATCHED:
        own = case.mask == FAMILY_NAMES.index(case.family) + 1
        known = case.mask != IGNORE
        union = int(((found & known) | own).sum())
        iou = float((found & known & own).sum() / max(union, 1))
        named = float(names_it(labels, case.family)) if labels else None
    elif case.kind in (TWO, NEW_TWO):
        own, rest = (
            case.mask == FAMILY_NAMES.index(name) + 1 for name in (case.family, case.other)
        )
        hit, missed = int((found & own).sum()), int((found & rest).sum())
        if hit + missed > 0:
            right = hit / (hit + missed)
            by_area = float(own.sum() / (own.sum() + rest.sum()))
    elif case.kind == BOTH:
        things = (case.family, case.other)
        own_pixels = {name: case.mask == FAMILY_NAMES.index(name) + 1 for name in things}
        count = how_many_found(labels, found, own_pixels)
    return Answer(
        case, float(found.mean()), labels, prediction.sounding, prediction.audio_label,
        iou, named, right, by_area, count,
    )  # fmt: skip
