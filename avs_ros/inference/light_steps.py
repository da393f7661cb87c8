"""A light model as programs for engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avs_ros.errors import CheckpointError
from avs_ros.inference.audio_steps import audio_program
from avs_ros.inference.bundle import AUDIO_STEP, VISUAL_STEP, Bundle
from avs_ros.inference.engines.program import StepProgram
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.light.affinity import ClassAudioAffinity
from avs_ros.models.light.checkpoint import LightModel, load_light
from avs_ros.models.light.detecting_step import BlendedAudio, DetectingOutput, DetectingStep
from avs_ros.models.light.detector import Detections
from avs_ros.models.light.instance_step import InstanceStep
from avs_ros.models.light.step import LightStep

# Masks come at the camera's rate; what is heard changes less often.
AUDIO_PERIOD_S = 0.1


def light_program(step: LightStep, name: str, categories: int) -> StepProgram:
    """The visual step for any engine."""
    trunk, size = step.trunk, step.network.image_size
    return StepProgram(
        name=name,
        module=step,
        inputs={
            "frame": (1, 3, size, size),
            "audio_feature": (1, trunk.audio_width),
            "audio_logits": (1, 527),
            "heard": (1, categories),
            "past": (max(trunk.frames_per_clip - 1, 1), STAGES, trunk.state_width),
            "shares": (max(trunk.frames_per_clip, 2),),
        },
        outputs=("masks", "gate", "companion", "label", "state"),
    )


def light_bundle(checkpoint: str | Path, name: str) -> Bundle:
    """Both steps of a light file, and what :class:`LightSegmenter` must know beside them."""
    model = load_light(checkpoint)
    network = model.network.requires_grad_(False)
    step = LightStep(network)
    backbone = network.c3n.backbone
    return Bundle(
        metadata={
            "metadata": dict(model.metadata),
            "rows": list(model.rows),
            "categories": list(model.categories),
            "sound_classes": list(model.sound_classes),
            "audioset": list(model.audioset),
            "frames_per_clip": step.trunk.frames_per_clip,
            "state": [STAGES, step.trunk.state_width],
            "image_size": network.image_size,
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
            "affinity": affinity_metadata(network.affinity),
        },
        steps={
            VISUAL_STEP: light_program(step, name, len(model.categories)),
            AUDIO_STEP: audio_program(network.audio_encoder, name),
        },
    )


def detecting_program(step: DetectingStep, name: str) -> StepProgram:
    """The visual step of a file with a detector, for any engine."""
    trunk, size, whole = step.trunk, step.network.image_size, step.whole_size
    return StepProgram(
        name=name,
        module=step,
        inputs={
            "frame": (1, 3, size, size),
            "whole": (1, 3, whole, whole),
            "audio_feature": (1, trunk.audio_width),
            "audio_logits": (1, 527),
            "past": (max(trunk.frames_per_clip - 1, 1), STAGES, trunk.state_width),
            "shares": (max(trunk.frames_per_clip, 2),),
        },
        outputs=DetectingOutput._fields,
    )


def detecting_step(model: LightModel) -> DetectingStep:
    """The step of a file that has a detector.  Raises CheckpointError for one without."""
    if model.detector is None:
        raise CheckpointError("this light file has no detector")
    told = model.metadata["detecting"]
    network = model.network.requires_grad_(False)
    return DetectingStep(network, model.detector, told["imagenet"], told["whole_size"])


def detecting_bundle(checkpoint: str | Path, name: str) -> Bundle:
    """Both steps of a file with a detector, and what :class:`DetectingSegmenter` must know."""
    model = load_light(checkpoint)
    step = detecting_step(model)
    told, backbone = model.metadata["detecting"], model.network.c3n.backbone
    return Bundle(
        metadata={
            **{key: told[key] for key in ("categories", "evidence", "gate", "candidates")},
            "calibration": told["calibration"],
            "metadata": dict(model.metadata),
            "audioset": list(model.audioset),
            "outputs": list(DetectingOutput._fields),
            "feature_width": step.trunk.audio_width,
            "frames_per_clip": step.trunk.frames_per_clip,
            "state": [STAGES, step.trunk.state_width],
            "image_size": step.network.image_size,
            "whole_size": step.whole_size,
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
        },
        steps={
            VISUAL_STEP: detecting_program(step, name),
            AUDIO_STEP: audio_program(both_audio_networks(model), name),
        },
    )


def instance_program(model: LightModel, name: str, share: float = 1.0) -> StepProgram:
    """The detector of a light file alone, for frames of ``share`` of the file's size.

    Raises CheckpointError for a file without one.
    """
    if model.detector is None:
        raise CheckpointError("this light file has no detector")
    whole = max(32, round(model.metadata["detecting"]["whole_size"] * share / 32) * 32)
    return StepProgram(
        name=name,
        module=InstanceStep(model.detector, whole),
        inputs={"whole": (1, 3, whole, whole)},
        outputs=Detections._fields,
    )


def instance_bundle(checkpoint: str | Path, name: str, share: float = 1.0) -> Bundle:
    """Detector and audio networks of a file, and what :class:`InstanceSegmenter` must know.

    ``share``: see :func:`instance_program`.
    """
    model = load_light(checkpoint)
    program = instance_program(model, name, share)
    told, backbone = model.metadata["detecting"], model.network.c3n.backbone
    return Bundle(
        metadata={
            **{key: told[key] for key in ("categories", "evidence", "gate")},
            "calibration": {**told["calibration"], "audio_period": AUDIO_PERIOD_S},
            "rows": told["candidates"]["detector_rows"],
            "metadata": dict(model.metadata),
            "audioset": list(model.audioset),
            "outputs": list(program.outputs),
            "image_size": program.inputs["whole"][-1],
            "image_mean": list(backbone.image_mean),
            "image_std": list(backbone.image_std),
        },
        steps={
            VISUAL_STEP: program,
            AUDIO_STEP: audio_program(both_audio_networks(model), name),
        },
    )


def both_audio_networks(model: LightModel) -> AudioNetwork:
    """The file's audio network, with the second one where it has that."""
    audio_encoder: AudioNetwork = model.network.audio_encoder
    if model.short_audio is None:
        return audio_encoder
    return BlendedAudio(audio_encoder, model.short_audio)


def affinity_metadata(affinity: ClassAudioAffinity) -> dict[str, Any]:
    """What :class:`ClassAffinity` is made from."""
    return {
        "log_affinity": affinity.log_affinity.tolist(),
        "gain": affinity.gain.tolist(),
        "bias": affinity.bias.tolist(),
        "alpha": affinity.alpha,
        "sound_class_category": affinity.sound_class_category.tolist(),
        "categories": affinity.categories,
    }
