"""Two things of one kind side by side, a sound that both could make: whether they are told apart.

A mono sound cannot say which of two equal things makes it, so a model that marks both is right;
one that gives each a mask of its own lets something else decide (motion, direction of arrival).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.composite import Case
from avs_ros.evaluation.composite_benchmark import answer_to
from avs_ros.evaluation.composite_data import CompositeDataset
from avs_ros.evaluation.metrics import mask_iou
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig

KIND = "two of a kind"
PER_CATEGORY, SAME, NEAR = 12, 0.5, 0.02


@dataclass(frozen=True)
class Told:
    """Of ``cases``: share in which anything was marked, in which both things were (IoU of the
    marks above a half on either side), and in which each had instances of its own.

    ``clear`` of the cases are those in which the two do not touch; ``clear_apart``: their share
    of the last.
    """

    cases: int
    marked: float
    both: float
    apart: float
    clear: int
    clear_apart: float


def make_twins(dataset: CompositeDataset, seed: int = 0) -> list[Case]:
    """The same cases for the same seed: at most ``PER_CATEGORY`` of each category."""
    rng = np.random.default_rng(seed)
    found = []
    for category, images in dataset.single(0.05).items():
        sounds = dataset.sounds_of(category)
        for _ in range(PER_CATEGORY if len(images) > 1 and sounds else 0):
            left, right = rng.choice(len(images), 2, replace=False)
            sound = sounds[int(rng.integers(len(sounds)))]
            found.append(Case(KIND, images[left], category, sound, second=images[right]))
    return found


def tell(
    segmenter: Segmenter, cases: list[Case], policy: PostprocessConfig | None = None
) -> Told:
    """All cases; ``policy``: of the post-processing (None: the defaults)."""
    rows = []
    for case in cases:
        view, cut = case.view(), case.image.view().rgb.shape[1]
        true = view.masks[case.category]
        labels = answer_to(segmenter, view.rgb, case.sound(), policy).label_mask()
        halves = (np.s_[:, :cut], np.s_[:, cut:])
        rows.append((
            bool(labels.any()),
            all(mask_iou(labels[half] > 0, true[half]) > SAME for half in halves),
            told_apart(labels, true, cut), not touching(true, cut),
        ))  # fmt: skip
    marked, both, apart, clear = np.array(rows or [(False,) * 4]).T
    clear_apart = float(apart[clear].mean()) if clear.any() else float("nan")
    return Told(
        len(cases), float(marked.mean()), float(both.mean()), float(apart.mean()),
        int(clear.sum()), clear_apart,
    )  # fmt: skip


def told_apart(labels: NDArray[Any], true: NDArray[np.bool_], cut: int) -> bool:
    """Whether each side's truth is met (IoU above a half) by instances of its own.

    An instance belongs to the side on which most of it lies, with all its pixels; a photograph
    may show several people, and each may be an instance.
    """
    own = np.zeros((2, *true.shape), bool)
    for index in np.unique(labels[labels > 0]):
        mask = labels == index
        own[int(mask[:, cut:].sum() > mask[:, :cut].sum())] |= mask
    left = np.arange(true.shape[1]) < cut
    sides = (true & left, true & ~left)
    return all(mask_iou(found, side) > SAME for found, side in zip(own, sides, strict=True))


def touching(true: NDArray[np.bool_], cut: int) -> bool:
    """Whether what is on the left of ``cut`` comes nearer than ``NEAR`` of the width to what is on
    the right.
    """
    reach = max(1, round(NEAR * true.shape[1]))
    left = np.where(np.arange(true.shape[1]) < cut, true, False).astype(np.uint8)
    grown = cv2.dilate(left, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return bool((grown[:, cut:].astype(bool) & true[:, cut:]).any())
