"""Who is judged: models by name, files, and floors that need the data folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avs_ros.errors import ParameterError
from avs_ros.inference.light import BUNDLED
from avs_ros.inference.registry import DEFAULT_MODEL, MODELS, create_segmenter
from avs_ros.inference.segmenter import Segmenter
from avs_ros.models.checkpoints import read_metadata
from avs_ros.models.light.checkpoint import KIND
from avs_ros.models.weight_file import read_weight_file

TEACHER, PUBLIC_CAM = "voc21_teacher", "consensus_cam_public"
# What the two floors that need the data folder are.
FLOORS = {
    TEACHER: "VOC-21 network of the data folder, classes picked by c3n_light's learned affinity",
    PUBLIC_CAM: "consensus_cam on the data folder's public classifiers: nothing is trained",
}


@dataclass(frozen=True)
class Contestant:
    """``title``: column; ``make()``: a fresh segmenter.

    ``light``: the light C3N file whose gate decides, where there is one.
    """

    title: str
    make: Callable[[], Segmenter]
    light: Path | None = None


def contestant(
    text: str, data: Path | None, engine: str = "torch", device: str = "cpu"
) -> Contestant:
    """Who ``text`` names: ``NAME``, ``FILE`` or ``NAME=FILE`` (its arithmetic, other weights).

    ``NAME``: a model of the registry or one of :data:`FLOORS`, which need ``data``.  Raises
    ParameterError for an unknown name; ``make`` raises what the model's own creation raises.
    """
    name, _, file = text.partition("=")
    options: dict[str, Any] = {"checkpoint": Path(file)} if file else {}
    if file and name not in (*MODELS, *FLOORS):
        raise ParameterError(
            f"--model {text}: {name!r} is not a model's name; known: {', '.join(MODELS)}, "
            f"{', '.join(FLOORS)}"
        )
    if name in FLOORS and data is None:
        raise ParameterError(f"--model {name} needs --data: its networks are there")
    if name == TEACHER and data:
        from recipes.c3n_light.evaluate.teacher import TeacherSegmenter

        return Contestant(text, lambda: TeacherSegmenter(data, **options))
    if name == PUBLIC_CAM and data:
        weights = data / "weights"
        options |= {
            "visual_weights": weights / "mobilenet_v2_imagenet.safetensors",
            "audio_weights": weights / "efficientat_mn04_audioset.safetensors",
        }
        name = "consensus_cam"
    light = Path(file) if file else BUNDLED
    return Contestant(
        text,
        lambda: create_segmenter(name, engine, device, **options),
        light if name == DEFAULT_MODEL else _as_light(name),
    )


def _as_light(model: str) -> Path | None:
    """``model`` as a path where it is a light C3N file."""
    if model in MODELS or not Path(model).is_file():
        return None
    kind = read_metadata(read_weight_file(model)).get("kind")
    return Path(model) if kind == KIND else None
