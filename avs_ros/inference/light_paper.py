"""``c3n_light_paper``: the C3N inside the light file, by itself, with the authors' arithmetic.

C3IM's arg-max label, class-activated weights, CCAM gates, ASPP, TPAVI over clips of five
seconds, decoder; its own mask and the unified label are the answer.  Nothing chooses among
categories and nothing refuses: what :class:`LightSegmenter` adds shows in the difference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from avs_ros.inference.bundle import Bundle, identity_of, open_runners
from avs_ros.inference.c3n import C3NSegmenter
from avs_ros.inference.engines import choose_device
from avs_ros.inference.gated_segmenter import BUNDLED

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

FRAMES_PER_CLIP = 5


def create(
    name: str,
    engine: str = "auto",
    device: str = "auto",
    *,
    checkpoint: str | Path = BUNDLED,
    frames_per_clip: int = FRAMES_PER_CLIP,
) -> C3NSegmenter:
    """A :class:`C3NSegmenter` on a light checkpoint's trunk and audio network.

    Raises CheckpointError for a file that is not a light one.
    """
    identity = identity_of("light_paper", frames_per_clip, files=(Path(checkpoint),))
    runners = open_runners(
        name, identity, lambda: _bundle(name, checkpoint, frames_per_clip), engine,
        choose_device(device),
    )  # fmt: skip
    return C3NSegmenter(name, runners, cv2.INTER_AREA)


def program(
    name: str,
    *,
    checkpoint: str | Path = BUNDLED,
    frames_per_clip: int = FRAMES_PER_CLIP,
) -> StepProgram:
    """The model's visual step; arguments and errors as for :func:`create`."""
    return _bundle(name, checkpoint, frames_per_clip).program()


def _bundle(name: str, checkpoint: str | Path, frames_per_clip: int) -> Bundle:
    from avs_ros.inference.model_steps import c3n_bundle
    from avs_ros.models.light.checkpoint import load_light

    model = load_light(checkpoint)
    network = model.network.requires_grad_(False)
    return c3n_bundle(network.c3n, network.audio_encoder, model.rows, name, frames_per_clip)
