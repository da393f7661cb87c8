"""Categories that the same sounds fit: a motor is heard, and the image says whose it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avs_ros.segmentation import Float

Bools = NDArray[np.bool_]


def confusable_indices(
    categories: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    """Names -> places in ``categories``; names that are not there are passed over."""
    place = {name: k for k, name in enumerate(categories)}
    found = (tuple(place[name] for name in group if name in place) for group in groups)
    return tuple(group for group in found if len(group) > 1)


def pool_confusable(gate: Float, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` probabilities: the likeliest of each group gets that of *any* of them sounding.

    Where a bus may as well be a truck, each gets half of what is certain of both together.
    """
    out = gate.copy()
    for group in groups:
        own = gate[list(group)]
        out[group[int(own.argmax())]] = 1.0 - np.prod(1.0 - own)
    return out


def without_confusable(score: Float, chosen: Bools, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` scores, 0 for what is ``chosen`` ``[K]`` or in one group with something that is.

    The motor that has been given to the bus is not heard a second time for the truck.
    """
    out = np.where(chosen, np.float32(0), score)
    for group in groups:
        if chosen[list(group)].any():
            out[list(group)] = 0.0
    return np.asarray(out, np.float32)
