"""Every model as programs for engines: what it sees with, what it hears with, and what a segmenter
must know beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from avs_ros.errors import CheckpointError
from avs_ros.inference.bundle import Bundle
from avs_ros.inference.engines.program import StepProgram
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.avsc.network import AVSC, AVSCAudioStep, VisualStep
from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import STAGES, Backbone
from avs_ros.models.c3n.streaming import C3NStep, StepOutput
from avs_ros.models.light.checkpoint import LightModel, load_light
from avs_ros.models.light.detector import Detections, Detector
from avs_ros.models.light.selection import ClassAudioAffinity
from avs_ros.models.light.steps import DetectingStep, InstanceStep, LightStep, TwoSpans
from avs_ros.sound import SAMPLE_RATE

# Masks come at the camera's rate; what is heard changes less often.
AUDIO_PERIOD_S = 0.1


def audio_program(
    network: AudioNetwork | AVSCAudioStep, name: str, feature: str = "feature"
) -> StepProgram:
    """``network`` on one second for any engine; sounds must be finite (``check_window``)."""
    return _hearing(network, name, 1, (feature, "audio_logits"))


def _spans_program(model: LightModel, name: str) -> StepProgram:
    """Both audio networks of a light file; CheckpointError for a file without the second one."""
    if model.short_audio is None:
        raise CheckpointError("this light file has no second audio network")
    network = TwoSpans(model.network.audio_encoder, model.short_audio)
    return _hearing(
        network, name, network.seconds, ("feature", "audio_logits", "long_audio_logits")
    )


def _hearing(
    network: nn.Module, name: str, seconds: int, outputs: Sequence[str]
) -> StepProgram:
    # All of it in evaluation mode: exporters leave every part in the mode of the whole.
    network.eval().requires_grad_(False)
    inputs = {"waveform": (1, seconds * SAMPLE_RATE)}
    return StepProgram(f"{name}_audio", network, inputs, outputs, decision="")


def sees(backbone: Backbone, size: int) -> dict[str, Any]:
    """What a segmenter must know of the frames: their side, px, and the pixels' statistics."""
    return {
        "image_size": size,
        "image_mean": list(backbone.image_mean),
        "image_std": list(backbone.image_std),
    }


def _remembers(trunk: C3NStep) -> dict[str, Any]:
    return {"frames_per_clip": trunk.frames_per_clip, "state": [STAGES, trunk.state_width]}


def _pixels(size: int) -> tuple[int, ...]:
    return 1, 3, size, size


def _hears(trunk: C3NStep) -> dict[str, tuple[int, ...]]:
    return {"audio_feature": (1, trunk.audio_width), "audio_logits": (1, 527)}


def _recalls(trunk: C3NStep) -> dict[str, tuple[int, ...]]:
    clip = trunk.frames_per_clip
    return {"past": (max(clip - 1, 1), STAGES, trunk.state_width), "shares": (max(clip, 2),)}


def c3n_program(network: C3N, name: str = "c3n", frames_per_clip: int = 5) -> StepProgram:
    """The streaming step of ``network`` for any engine; shapes follow its configuration."""
    step = C3NStep(network, frames_per_clip)
    inputs = {"frame": _pixels(network.image_size), **_hears(step), **_recalls(step)}
    return StepProgram(name, step, inputs, StepOutput._fields)


def c3n_bundle(
    network: C3N,
    audio_encoder: AudioNetwork,
    labels: Sequence[str],
    name: str,
    frames_per_clip: int,
) -> Bundle:
    """What :class:`C3NSegmenter` runs on."""
    program = c3n_program(network, name, frames_per_clip)
    assert isinstance(program.module, C3NStep)
    metadata = {
        "labels": list(labels),
        **_remembers(program.module),
        **sees(network.backbone, network.image_size),
    }
    return Bundle(metadata, program, audio_program(audio_encoder, name))


def visual_program(network: AVSC, name: str) -> StepProgram:
    """The segmenter of potential sounding objects: no past goes in, no state comes out."""
    inputs = {"frame": _pixels(network.config.image_size)}
    outputs = ("class_logits", "mask_logits")
    return StepProgram(name, VisualStep(network), inputs, outputs, decision="")


def avsc_bundle(network: AVSC, name: str, metadata: Mapping[str, Any]) -> Bundle:
    """What :class:`AVSCSegmenter` runs on."""
    config = network.config
    known = {
        "metadata": {key: value for key, value in metadata.items() if key != "build"},
        "calibration": metadata.get("calibration", {}),
        "audioset": metadata["audioset"],
        "categories": list(config.categories),
        "sound_classes": list(config.sound_classes),
        "affinity": affinity_metadata(network.audio_head.affinity),
        **sees(network.backbone, config.image_size),
    }
    audio = audio_program(AVSCAudioStep(network), name, "residual")
    return Bundle(known, visual_program(network, name), audio)


def light_bundle(checkpoint: str | Path, name: str) -> Bundle:
    """What :class:`LightSegmenter` runs on."""
    model = load_light(checkpoint)
    network = model.network.requires_grad_(False)
    step = LightStep(network)
    inputs = {
        "frame": _pixels(network.image_size),
        **_hears(step.trunk),
        "heard": (1, len(model.categories)),
        **_recalls(step.trunk),
    }
    metadata = {
        **_told(model),
        "calibration": model.metadata.get("calibration", {}),
        "rows": list(model.rows),
        "categories": list(model.categories),
        "sound_classes": list(model.sound_classes),
        "affinity": affinity_metadata(network.affinity),
        **_remembers(step.trunk),
        **sees(network.c3n.backbone, network.image_size),
    }
    program = StepProgram(name, step, inputs, ("masks", "gate", "companion", "label", "state"))
    return Bundle(metadata, program, audio_program(network.audio_encoder, name))


def detecting_bundle(checkpoint: str | Path, name: str, share: float = 1.0) -> Bundle:
    """What :class:`DetectingSegmenter` runs on, for frames of ``share`` of the file's sizes.

    Raises CheckpointError without a detector.
    """
    model = load_light(checkpoint)
    detector, told, c3n = _detector_of(model), model.metadata["detecting"], model.network.c3n
    frames, trunk, whole = (
        _share_of(size, share)
        for size in (model.network.image_size, c3n.image_size, told["whole_size"])
    )
    step = DetectingStep(c3n.backbone.net, detector, told["imagenet"], whole, trunk)
    metadata = {
        **_explained(model),
        "candidates": told["candidates"],
        "outputs": list(step.outputs),
        "whole_size": whole,
        **sees(c3n.backbone, frames),
    }
    inputs = {"frame": _pixels(frames), "whole": _pixels(whole)}
    program = StepProgram(name, step, inputs, step.outputs, decision="")
    return Bundle(metadata, program, _spans_program(model, name))


def instance_program(model: LightModel, name: str, share: float = 1.0) -> StepProgram:
    """The detector of a light file alone, for frames of ``share`` of the file's size for it.

    Raises CheckpointError for a file without one.
    """
    detector = _detector_of(model)
    told = model.metadata["detecting"]
    whole = _share_of(told.get("instance_size", told["whole_size"]), share)
    inputs = {"whole": _pixels(whole)}
    outputs = Detections._fields
    return StepProgram(name, InstanceStep(detector, whole), inputs, outputs, decision="")


def instance_bundle(checkpoint: str | Path, name: str, share: float = 1.0) -> Bundle:
    """What :class:`InstanceSegmenter` runs on; ``share``: see :func:`instance_program`."""
    model = load_light(checkpoint)
    program = instance_program(model, name, share)
    told = model.metadata["detecting"]
    metadata = {
        **_explained(model),
        "rows": told["candidates"]["detector_rows"],
        "outputs": list(program.outputs),
        **sees(model.network.c3n.backbone, program.inputs["whole"][-1]),
    }
    return Bundle(metadata, program, _spans_program(model, name))


def _share_of(size: int, share: float) -> int:
    """The nearest side that the networks take, px."""
    return max(32, round(size * share / 32) * 32)


def _told(model: LightModel) -> dict[str, Any]:
    return {"metadata": dict(model.metadata), "audioset": list(model.audioset)}


def _explained(model: LightModel) -> dict[str, Any]:
    """What :class:`ExplainingSegmenter` needs."""
    told = model.metadata["detecting"]
    known = {key: told[key] for key in ("categories", "evidence", "gate")}
    return {
        **known,
        "background": told.get("background"),
        "calibration": {**told["calibration"], "audio_period": AUDIO_PERIOD_S},
        "heard_seconds": TwoSpans.seconds,
        **_told(model),
    }


def _detector_of(model: LightModel) -> Detector:
    if model.detector is None:
        raise CheckpointError("this light file has no detector")
    return model.detector


def affinity_metadata(affinity: ClassAudioAffinity) -> dict[str, Any]:
    """What :class:`ClassAffinity` is made from."""
    return {
        "log_affinity": affinity.log_affinity.tolist(),
        "gain": affinity.gain.tolist(),
        "bias": affinity.bias.tolist(),
        "sound_class_category": affinity.sound_class_category.tolist(),
        "categories": affinity.categories,
    }
