"""Tables that the light network starts from: row names, categories' members, affinity, M_sim."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from avs_ros.models.light.similarity import light_similarity
from avs_ros.models.light.vocabulary import CATEGORIES, SOUND_CLASS_CATEGORY, SOUND_CLASSES
from avs_ros.segmentation import Float

DIRECT, LOOSE, OTHER = 0.0, -1.2, -7.0


def row_names(data: Path) -> list[str]:
    """The visual vocabulary: 1000 ImageNet names, then the categories."""
    names = (data / "labels" / "imagenet1k_names.txt").read_text().splitlines()
    return [name.split(",")[0].strip() for name in names if name.strip()] + [
        category.name for category in CATEGORIES
    ]


def members() -> Tensor:
    """``[K, 1000 + K]``: which class rows show which category."""
    table = torch.zeros(len(CATEGORIES), 1000 + len(CATEGORIES))
    for k, category in enumerate(CATEGORIES):
        table[k, list(category.imagenet)] = 1
        table[k, 1000 + k] = 1
    return table


def log_affinity() -> Tensor:
    """``[V, 527]``: the affinity before it has learned anything."""
    table = torch.full((len(SOUND_CLASSES), 527), OTHER)
    for v, sound_class in enumerate(SOUND_CLASSES):
        table[v, list(sound_class.loose)] = LOOSE
        table[v, list(sound_class.direct)] = DIRECT
    return table


def label_similarity() -> Float:
    """``[1000 + K, 527]``: M_sim of C3IM."""
    return light_similarity(
        [torch.nonzero(row)[:, 0].tolist() for row in members()],
        SOUND_CLASS_CATEGORY,
        [sound_class.direct for sound_class in SOUND_CLASSES],
        [sound_class.loose for sound_class in SOUND_CLASSES],
    )
