"""The light network's label similarity: ImageNet's rows, and one for each category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avs_ros.models.label_similarity import load_similarity
from avs_ros.segmentation import Float

MAY_BE = 0.4


def light_similarity(
    members: Sequence[Sequence[int]],
    sound_class_category: Sequence[int],
    direct: Sequence[Sequence[int]],
    loose: Sequence[Sequence[int]],
) -> Float:
    """``[1000 + K, 527]``: the shipped similarity, then the categories' rows.

    ``members``: class rows of each category (those from 1000 on are its own).
    ``sound_class_category``, ``direct``, ``loose``: for each sound class its category and the
    AudioSet classes that are or may be it.  A category's row is 1 for sounds that are its own,
    ``MAY_BE`` for those that may be, and otherwise half of the mean of its ImageNet rows.
    """
    shared = load_similarity()
    rows = []
    for category, own in enumerate(members):
        named = [row for row in own if row < len(shared)]
        row = 0.5 * (shared[named] if named else shared).mean(axis=0)
        sound_classes = [v for v, target in enumerate(sound_class_category) if target == category]
        for value, classes in ((MAY_BE, loose), (1.0, direct)):
            for sound_class in sound_classes:
                index = list(classes[sound_class])
                row[index] = np.maximum(row[index], value)
        rows.append(row)
    return np.concatenate([shared, np.stack(rows)]).astype(np.float32)
