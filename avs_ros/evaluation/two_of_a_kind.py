"""Two things of one kind side by side, a sound that both could make: whether they are told apart.

A mono sound cannot say which of two equal things makes it, so a model that marks both is right;
one that gives each a mask of its own lets something else decide (motion, direction of arrival).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avs_ros.evaluation.composite import join
from avs_ros.evaluation.composite_benchmark import answer_to
from avs_ros.evaluation.composite_data import CompositeDataset, LabelledImage, LabelledSound
from avs_ros.inference.segmenter import Segmenter
from avs_ros.postprocess import PostprocessConfig

PER_CATEGORY, SAME = 12, 0.5


@dataclass(frozen=True)
class Twins:
    """Two photographs of one category, and a sound of it."""

    category: str
    left: LabelledImage
    right: LabelledImage
    recording: LabelledSound


@dataclass(frozen=True)
class Told:
    """Of ``cases``: share in which anything was marked, in which both things were (IoU of the
    marks above a half on either side), and in which each had an instance of its own.
    """

    cases: int
    marked: float
    both: float
    apart: float


def make_twins(dataset: CompositeDataset, seed: int = 0) -> list[Twins]:
    """The same cases for the same seed: at most ``PER_CATEGORY`` of each category."""
    rng = np.random.default_rng(seed)
    by_category: dict[str, list[LabelledImage]] = {}
    for image in dataset.images:
        here = image.categories(0.05)
        if len(here) == 1 and set(image.shares) == set(here):
            by_category.setdefault(here[0], []).append(image)
    found = []
    for category, images in sorted(by_category.items()):
        sounds = dataset.sounds_of(category)
        for _ in range(PER_CATEGORY if len(images) > 1 and sounds else 0):
            left, right = rng.choice(len(images), 2, replace=False)
            sound = sounds[int(rng.integers(len(sounds)))]
            found.append(Twins(category, images[left], images[right], sound))
    return found


def tell(
    segmenter: Segmenter, cases: list[Twins], policy: PostprocessConfig | None = None
) -> Told:
    """All cases; ``policy``: of the post-processing (None: the defaults)."""
    marked, both, apart = [], [], []
    for case in cases:
        left = case.left.view()
        view = join(left, case.right.view())
        answer = answer_to(segmenter, view.rgb, case.recording.second(), policy)
        true, cut = view.masks[case.category], left.rgb.shape[1]
        labels = answer.label_mask()
        marked.append(bool(labels.any()))
        halves = (np.s_[:, :cut], np.s_[:, cut:])
        both.append(all(_iou(labels[half] > 0, true[half]) > SAME for half in halves))
        own = []
        for half in halves:
            whole = np.zeros(true.shape, bool)
            whole[half] = true[half]
            own.append({
                one.index for one in answer.instances if _iou(labels == one.index, whole) > SAME
            })  # fmt: skip
        apart.append(bool(own[0]) and bool(own[1]) and own[0] != own[1])
    return Told(len(cases), *(float(np.mean(part or [False])) for part in (marked, both, apart)))


def _iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((found & true).sum() / max(1, (found | true).sum()))
