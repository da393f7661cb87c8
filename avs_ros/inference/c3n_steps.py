"""A C3N and its audio network as programs for engines."""

from __future__ import annotations

from collections.abc import Sequence

from avs_ros.inference.audio_steps import audio_program
from avs_ros.inference.bundle import AUDIO_STEP, VISUAL_STEP, Bundle
from avs_ros.inference.engines.program import StepProgram
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.c3n.streaming import C3NStep


def c3n_program(network: C3N, name: str = "c3n", frames_per_clip: int = 5) -> StepProgram:
    """The streaming step of ``network`` for any engine; shapes follow its configuration."""
    size = network.image_size
    return StepProgram(
        name=name,
        module=C3NStep(network, frames_per_clip),
        inputs={
            "frame": (1, 3, size, size),
            "audio_feature": (1, network.audio_width),
            "audio_logits": (1, 527),
            "past": (max(frames_per_clip - 1, 1), STAGES, 2 * network.channels + 1),
            "shares": (max(frames_per_clip, 2),),
        },
        outputs=("logits", "label", "visual_logits", "state"),
    )


def c3n_bundle(
    network: C3N,
    audio_encoder: AudioNetwork,
    labels: Sequence[str],
    name: str,
    frames_per_clip: int,
) -> Bundle:
    """Both steps, and what :class:`C3NSegmenter` must know beside them."""
    backbone = network.backbone
    return Bundle(
        metadata={
            "labels": list(labels),
            "frames_per_clip": frames_per_clip,
            "state": [STAGES, 2 * network.channels + 1],
            "image_size": network.image_size,
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
        },
        steps={
            VISUAL_STEP: c3n_program(network, name, frames_per_clip),
            AUDIO_STEP: audio_program(audio_encoder, name),
        },
    )
