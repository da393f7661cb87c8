"""One table of colours for masks, on images and in reports."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from avs_ros.segmentation import Instance

Colour = tuple[int, int, int]

# Told apart by eyes that see no red-green difference too, and bright enough on camera images.
PALETTE: tuple[Colour, ...] = (
    (255, 176, 0),
    (60, 170, 255),
    (255, 85, 140),
    (0, 210, 150),
    (170, 120, 255),
    (255, 120, 40),
    (120, 225, 255),
    (225, 225, 60),
    (255, 140, 220),
    (110, 200, 60),
)


def label_colour(label: str, ordinal: int = 0) -> Colour:
    """The colour of a label, the same in every frame and run; ``ordinal`` tells twins apart."""
    return PALETTE[(zlib.crc32(label.encode()) + ordinal) % len(PALETTE)]


def instance_colours(instances: Sequence[Instance]) -> dict[int, Colour]:
    """Instance index -> colour: by label, so that a thing keeps its colour from frame to frame."""
    seen: dict[str, int] = {}
    colours = {}
    for instance in sorted(instances, key=lambda one: one.box[0]):
        ordinal = seen.get(instance.label, 0)
        seen[instance.label] = ordinal + 1
        colours[instance.index] = label_colour(instance.label, ordinal)
    return colours
