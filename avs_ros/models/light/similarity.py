"""The light network's label similarity: ImageNet's rows, and one for each family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avs_ros.models.label_similarity import load_similarity
from avs_ros.segmentation import Float

MAY_BE = 0.4


def light_similarity(
    members: Sequence[Sequence[int]],
    voice_family: Sequence[int],
    direct: Sequence[Sequence[int]],
    loose: Sequence[Sequence[int]],
) -> Float:
    """``[1000 + K, 527]``: the shipped similarity, then the families' rows.

    ``members``: class rows of each family (those from 1000 on are its own).  ``voice_family``,
    ``direct``, ``loose``: for each voice its family and the AudioSet classes that are or may be
    it.  A family's row is 1 for sounds that are its own, ``MAY_BE`` for those that may be, and
    otherwise half of the mean of its ImageNet rows.
    """
    shared = load_similarity()
    rows = []
    for family, own in enumerate(members):
        named = [row for row in own if row < len(shared)]
        row = 0.5 * (shared[named] if named else shared).mean(axis=0)
        voices = [v for v, target in enumerate(voice_family) if target == family]
        for value, classes in ((MAY_BE, loose), (1.0, direct)):
            for voice in voices:
                index = list(classes[voice])
                row[index] = np.maximum(row[index], value)
        rows.append(row)
    return np.concatenate([shared, np.stack(rows)]).astype(np.float32)
