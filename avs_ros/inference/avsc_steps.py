"""An AVSC as programs for engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avs_ros.inference.bundle import AUDIO_STEP, VISUAL_STEP, Bundle
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.light_steps import affinity_metadata
from avs_ros.models.avsc.network import AVSC
from avs_ros.models.avsc.step import AVSCAudioStep, VisualStep
from avs_ros.sound import SAMPLE_RATE


def visual_program(network: AVSC, name: str) -> StepProgram:
    """The segmenter of potential sounding objects: no past goes in, no state comes out."""
    size = network.config.image_size
    return StepProgram(
        name=name,
        module=VisualStep(network),
        inputs={"frame": (1, 3, size, size)},
        outputs=("class_logits", "mask_logits"),
        decision="",
    )


def avsc_bundle(network: AVSC, name: str, metadata: Mapping[str, Any]) -> Bundle:
    """Both steps, and what :class:`AVSCSegmenter` must know beside them."""
    config, backbone = network.config, network.backbone
    return Bundle(
        metadata={
            "metadata": {key: value for key, value in metadata.items() if key != "build"},
            "categories": list(config.categories),
            "sound_classes": list(config.sound_classes),
            "image_size": config.image_size,
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
            "affinity": affinity_metadata(network.audio_head.affinity),
        },
        steps={
            VISUAL_STEP: visual_program(network, name),
            AUDIO_STEP: StepProgram(
                name=f"{name}_audio",
                module=AVSCAudioStep(network),
                inputs={"waveform": (1, SAMPLE_RATE)},
                outputs=("residual", "audio_logits"),
                decision="",
            ),
        },
    )
