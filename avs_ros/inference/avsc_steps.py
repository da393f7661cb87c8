"""An AVSC as programs for engines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avs_ros.inference.bundle import HEARING, SEEING, Bundle
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.light_steps import affinity_facts
from avs_ros.models.avsc.network import AVSC
from avs_ros.models.avsc.step import ListeningStep, SeeingStep
from avs_ros.sound import SAMPLE_RATE


def seeing_program(network: AVSC, name: str) -> StepProgram:
    """The segmenter of potential sounding objects: no past goes in, no state comes out."""
    size = network.config.image_size
    return StepProgram(
        name=name,
        module=SeeingStep(network),
        inputs={"frame": (1, 3, size, size)},
        outputs=("class_logits", "mask_logits"),
        decision="",
    )


def avsc_bundle(network: AVSC, name: str, metadata: Mapping[str, Any]) -> Bundle:
    """Both steps, and what :class:`AVSCSegmenter` must know beside them."""
    config, backbone = network.config, network.backbone
    return Bundle(
        facts={
            "metadata": {key: value for key, value in metadata.items() if key != "build"},
            "categories": list(config.categories),
            "voices": list(config.voices),
            "image_size": config.image_size,
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
            "affinity": affinity_facts(network.audio_head.affinity),
        },
        steps={
            SEEING: seeing_program(network, name),
            HEARING: StepProgram(
                name=f"{name}_hearing",
                module=ListeningStep(network),
                inputs={"waveform": (1, SAMPLE_RATE)},
                outputs=("residual", "audio_logits"),
                decision="",
            ),
        },
    )
