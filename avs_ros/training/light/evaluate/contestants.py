"""Who is judged: models by name, files, and floors that need the data folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avs_ros.errors import ParameterError
from avs_ros.inference.registry import MODELS, create_segmenter
from avs_ros.inference.segmenter import Segmenter

TEACHER, PUBLIC_CAM = "voc21_teacher", "consensus_cam_public"
# What the two floors that need the data folder are.
FLOORS = {
    TEACHER: "VOC-21 network of the data folder, classes picked by c3n_light's learned affinity",
    PUBLIC_CAM: "consensus_cam on the data folder's public classifiers: nothing is trained",
}


@dataclass(frozen=True)
class Contestant:
    """``title``: column; ``make()``: a fresh segmenter."""

    title: str
    make: Callable[[], Segmenter]


def contestant(text: str, data: Path, engine: str = "torch", device: str = "cpu") -> Contestant:
    """``NAME``, ``FILE``, or ``NAME=FILE`` (that model's arithmetic on another file's weights).

    ``NAME``: a model of the registry or one of :data:`FLOORS`.  Raises ParameterError for an
    unknown floor's file; ``make`` raises what the model's own creation raises.
    """
    name, _, file = text.partition("=")
    options: dict[str, Any] = {"checkpoint": Path(file)} if file else {}
    if file and name not in (*MODELS, *FLOORS):
        raise ParameterError(
            f"--model {text}: {name!r} is not a model's name; known: {', '.join(MODELS)}, "
            f"{', '.join(FLOORS)}"
        )
    if name == TEACHER:
        from avs_ros.training.light.evaluate.teacher import TeacherSegmenter

        return Contestant(text, lambda: TeacherSegmenter(data, **options))
    if name == PUBLIC_CAM:
        weights = data / "weights"
        options |= {
            "visual_weights": weights / "mobilenet_v2_imagenet.safetensors",
            "audio_weights": weights / "efficientat_mn04_audioset.safetensors",
        }
        name = "consensus_cam"
    return Contestant(text, lambda: create_segmenter(name, engine, device, **options))
