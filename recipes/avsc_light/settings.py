"""Settings of the recipe of ``avsc_light``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avs_ros.errors import ParameterError


@dataclass(frozen=True)
class AVSCLightSettings:
    """AVSC in small, on photographs with masks and recordings of their own.

    ``init_from``: the light C3N that gives backbone, hearing and affinity, and whose category maps
    are the teacher ("" = the bundled one).  ``mode``: of the silent-object-aware objective.
    ``epochs`` of ``epoch_steps`` steps train the segmenter; in the last ``live_epochs`` of them
    the backbone learns too.  ``batch`` scenes a step, ``live_batch`` in those.  ``capacity``:
    scenes kept as features; ``fresh``: of them replaced at every step.  ``learning_rate``, then
    ``live_rate``: of the head; ``backbone_rate``: of the backbone.  ``ema``: share of the past in
    the averaged network that is kept.  ``distil``: weight of the teacher's maps.
    ``pairs_scenes`` and ``pairs_sounds``: what the second step pairs, for ``pairs_steps`` steps of
    ``pairs_batch`` pairs.  ``label_weight``: of the sounds' own labels beside the attended mask
    (0: masks alone, as in the paper).  ``pull``: strength with which the audio head is held near
    where it started.  ``empty_on_mismatch``: share of mismatched held-out pairs that the
    threshold leaves empty.
    """

    init_from: str = ""
    mode: Literal["ignore", "pseudo"] = "pseudo"
    image_size: int = 224
    epochs: int = 24
    epoch_steps: int = 100
    live_epochs: int = 10
    batch: int = 12
    live_batch: int = 6
    capacity: int = 3000
    fresh: int = 2
    learning_rate: float = 1e-3
    live_rate: float = 4e-4
    backbone_rate: float = 4e-5
    weight_decay: float = 1e-3
    ema: float = 0.998
    distil: float = 2.0
    pairs_scenes: int = 1500
    pairs_sounds: int = 5000
    pairs_steps: int = 1200
    pairs_batch: int = 48
    pairs_rate: float = 2e-3
    label_weight: float = 0.3
    pull: float = 1e-2
    empty_on_mismatch: float = 0.92
    seed: int = 7

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        if self.image_size < 32 or self.image_size % 32:
            raise ParameterError(f"image_size is {self.image_size}; a multiple of 32 is needed")
        for name in ("epochs", "epoch_steps", "batch", "capacity", "pairs_steps", "pairs_batch"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.batch <= self.capacity:
            raise ParameterError(f"capacity is {self.capacity}; at least batch ({self.batch})")
        if not 0 <= self.live_epochs <= self.epochs:
            raise ParameterError(f"live_epochs is {self.live_epochs}; 0 to epochs ({self.epochs})")
        for name in ("learning_rate", "live_rate", "backbone_rate", "pairs_rate"):
            if getattr(self, name) <= 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 < self.empty_on_mismatch < 1:
            raise ParameterError(
                f"empty_on_mismatch is {self.empty_on_mismatch}; between 0 and 1 is needed"
            )
