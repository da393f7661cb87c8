"""Families that the same sounds fit: a motor is heard, and the picture says whose it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avs_ros.segmentation import Float


def alike_indices(
    families: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[tuple[int, ...], ...]:
    """Names -> places in ``families``; names that are not there are passed over."""
    place = {name: k for k, name in enumerate(families)}
    found = (tuple(place[name] for name in group if name in place) for group in groups)
    return tuple(group for group in found if len(group) > 1)


def pool_alike(gate: Float, groups: Sequence[Sequence[int]]) -> Float:
    """``[K]`` probabilities: the likeliest of each group gets that of *any* of them sounding.

    Where a bus may as well be a truck, each gets half of what is certain of both together.
    """
    out = gate.copy()
    for group in groups:
        own = gate[list(group)]
        out[group[int(own.argmax())]] = 1.0 - np.prod(1.0 - own)
    return out
