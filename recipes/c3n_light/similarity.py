"""Tables that the light network starts from: row names, families' members, affinity, M_sim."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from avs_ros.models.light.families import FAMILIES, VOICE_FAMILY, VOICES
from avs_ros.models.light.similarity import light_similarity
from avs_ros.segmentation import Float

DIRECT, LOOSE, OTHER = 0.0, -1.2, -7.0


def row_names(data: Path) -> list[str]:
    """The visual vocabulary: 1000 ImageNet names, then the families."""
    names = (data / "labels" / "imagenet1k_names.txt").read_text().splitlines()
    return [name.split(",")[0].strip() for name in names if name.strip()] + [
        family.name for family in FAMILIES
    ]


def members() -> Tensor:
    """``[K, 1000 + K]``: which class rows show which family."""
    table = torch.zeros(len(FAMILIES), 1000 + len(FAMILIES))
    for k, family in enumerate(FAMILIES):
        table[k, list(family.imagenet)] = 1
        table[k, 1000 + k] = 1
    return table


def log_affinity() -> Tensor:
    """``[V, 527]``: the affinity before it has learned anything."""
    table = torch.full((len(VOICES), 527), OTHER)
    for v, voice in enumerate(VOICES):
        table[v, list(voice.loose)] = LOOSE
        table[v, list(voice.direct)] = DIRECT
    return table


def label_similarity() -> Float:
    """``[1000 + K, 527]``: M_sim of C3IM."""
    return light_similarity(
        [torch.nonzero(row)[:, 0].tolist() for row in members()],
        VOICE_FAMILY,
        [voice.direct for voice in VOICES],
        [voice.loose for voice in VOICES],
    )
