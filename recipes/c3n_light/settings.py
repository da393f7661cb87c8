"""Settings of the light model's training: one dataclass, read from YAML, checked before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avs_ros.errors import ParameterError

PARTS = ("whole", "trunk")
GATES = ("ccam", "cam_prior", "strong")
BACKBONES = ("frozen", "fine_tuned")
BUNDLED_NAME = "bundled"
_STAGES = ("audio_steps", "visual_steps", "joint_steps", "settle_steps", "refine_steps")


class CountedInSteps:
    """Settings of a run whose stages are counted in steps."""

    @property
    def epochs(self) -> int:
        """One pass."""
        return 1


def require_shares(settings: object, *names: str) -> None:
    """Raise ParameterError for the first of the settings that is no share, 0 to 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ParameterError(f"{name} must be from 0 to 1")


def require_stamps(folder: str) -> None:
    """ParameterError where there is no such folder of Tux Paint's stamps; "" does without."""
    if folder and not Path(folder).is_dir():
        raise ParameterError(
            f"stamps: there is no folder {folder}: install Debian's package "
            "tuxpaint-stamps-default, or set it to nothing to do without"
        )


@dataclass(frozen=True)
class C3NLightSettings(CountedInSteps):
    """What to train, from what, and for how long; every step is one batch.

    ``init_from``: a light file to go on from, ``bundled`` for the package's own, "" for the public
    classifiers of the data folder (then the decoder starts from ``seed``).
    ``part``: ``whole``, the model that is shipped, or ``trunk``: the C3N inside it alone, its own
    mask and nothing else, which is where the authors' parts can be told apart:
    ``gates``: ``ccam`` (the authors' class-activated gates), ``cam_prior`` (these, and the
    unified label's class-activation map as one more input of each stage) or ``strong`` (both,
    with gates of learned strength); ``tpavi``: whether the sound is attended to at all.
    ``teachers``: learn from the VOC-21 network's masks and YAMNet's and mn04's scores as well;
    without them only from what people outlined and named.
    ``backbone``: ``frozen`` or ``fine_tuned``.  ``image_size``: pixels at which C3N sees a frame;
    ``small_size``: of the images in the stages that are long.
    ``audio_steps`` .. ``refine_steps``: the whole's stages in turn (0 leaves one out);
    ``trunk_steps`` of ``trunk_pairs`` pairs: the trunk's.  ``gate_images``, ``gate_sounds``,
    ``gate_steps``: what the accept gate learns from.  ``spoken``: sentences by espeak-ng beside
    the recorded speech, where that program is installed; ``motors``: made-up motors that YAMNet
    takes for motors.
    """

    seed: int = 5
    init_from: str = ""
    part: str = "whole"
    gates: str = "ccam"
    tpavi: bool = True
    teachers: bool = True
    backbone: str = "fine_tuned"
    spoken: bool = True
    motors: bool = True
    image_size: int = 224
    small_size: int = 160
    channels: int = 32
    batch: int = 8
    audio_batch: int = 24
    audio_steps: int = 7600
    visual_steps: int = 900
    joint_steps: int = 450
    settle_steps: int = 450
    refine_steps: int = 1100
    trunk_steps: int = 300
    trunk_pairs: int = 800
    gate_images: int = 4000
    gate_sounds: int = 12000
    gate_steps: int = 2500
    checkpoint_every: int = 25
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        choices = {"part": PARTS, "gates": GATES, "backbone": BACKBONES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}"
                )
        for name in ("image_size", "small_size"):
            value = getattr(self, name)
            if value < 64 or value % 32:
                raise ParameterError(f"{name} is {value}; a multiple of 32 from 64 on is needed")
        least = dict.fromkeys((*_STAGES, "threads", "seed"), 0)
        least |= dict.fromkeys(("batch", "audio_batch", "checkpoint_every"), 1)
        least |= dict.fromkeys(("trunk_steps", "trunk_pairs", "gate_steps"), 1)
        least |= {"channels": 2, "gate_images": 8, "gate_sounds": 16}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ParameterError(
                    f"{name} is {getattr(self, name)}; it must be at least {smallest}"
                )
        if self.channels % 2:
            raise ParameterError(f"channels is {self.channels}; an even number is needed")
        if self.part == "whole" and (self.gates != "ccam" or not self.tpavi):
            raise ParameterError(
                "gates and tpavi are switches of the trunk alone: set part to trunk"
            )
        if self.part == "whole" and not any(getattr(self, name) for name in _STAGES):
            raise ParameterError(f"nothing to learn: one of {', '.join(_STAGES)} must be above 0")
        if self.part == "trunk" and self.backbone == "frozen" and self.batch > self.trunk_pairs:
            raise ParameterError(f"trunk_pairs is {self.trunk_pairs}; at least batch is needed")
