"""Settings of AVSC on AVSBench."""

from __future__ import annotations

from dataclasses import dataclass

from avs_ros.errors import ParameterError
from avs_ros.training.config import TrainConfig

MODES = ("ignore", "pseudo", "frozen")


@dataclass(frozen=True)
class BenchSettings(TrainConfig):
    """AVSC on AVSBench, whose masks say only the sounding object; more than C3N's settings.

    ``mode``: of the silent-object-aware objective.  ``pseudo`` wants ``init_from``: what that
    network finds stands for the silent things; ``frozen`` trains the audio head alone.
    ``categories``: names, comma-separated ("" = those of S4's training clips).
    ``segment_weight``: of the segmenter's objective beside the attended mask's.  ``queries``: of
    the transformer decoder.
    """

    mode: str = "ignore"
    categories: str = ""
    segment_weight: float = 1.0
    queries: int = 100

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        super().__post_init__()
        if self.mode not in MODES:
            raise ParameterError(f"mode is {self.mode!r}; choose one of {', '.join(MODES)}")
        if self.mode == "pseudo" and not self.init_from:
            raise ParameterError(
                "mode pseudo takes silent things from a trained network: set init_from"
            )
        if self.segment_weight < 0:
            raise ParameterError(f"segment_weight is {self.segment_weight}; 0 or more is needed")
