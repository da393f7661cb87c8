"""The light model's file: one safetensors with tensors in half precision and all it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avs_ros.errors import CheckpointError
from avs_ros.models.audio.yamnet import Yamnet
from avs_ros.models.checkpoints import halved, read_kind, save_checkpoint
from avs_ros.models.light.detector import Detector
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.similarity import light_similarity
from avs_ros.models.weight_file import load_state_dict_strictly, read_weight_file

KIND = "c3n_light"


@dataclass(frozen=True)
class LightModel:
    """A network ready to use, in evaluation mode on the CPU, and what its file says.

    ``rows``: visual vocabulary (C3IM's labels).  ``categories``: names of the maps.
    ``sound_classes``: names of what is heard.  ``metadata``: everything the file says about
    itself.  ``detector`` and ``short_audio``: None in files without them.
    """

    network: LightC3N
    rows: tuple[str, ...]
    categories: tuple[str, ...]
    sound_classes: tuple[str, ...]
    audioset: tuple[str, ...]
    metadata: Mapping[str, Any]
    detector: Detector | None = None
    short_audio: Yamnet | None = None


def save_light(
    path: Path,
    network: LightC3N,
    names: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    detector: Detector | None = None,
    short_audio: Yamnet | None = None,
) -> None:
    """Write ``network`` (folded) in float16, with a detector and a second audio network.

    ``names``: ``rows``, ``categories``, ``sound_classes``, ``sound_class_category``, ``direct``
    and ``loose`` (AudioSet classes of each sound class), ``members`` (class rows of each
    category), ``overlaps`` (pairs: a category, one that may hold it) and ``audioset``.
    ``about``: preprocessing, provenance, licence, calibration.
    """
    # Buffers are constants of the architecture, the gate's calibration excepted.
    kept = {name: tensor for name, tensor in network.state_dict().items() if _stored(name)}
    for part, module in (("detector", detector), ("short_audio", short_audio)):
        if module is not None:
            kept |= {f"{part}.{name}": tensor for name, tensor in module.state_dict().items()}
    build = {
        "channels": network.c3n.channels,
        "image_size": network.image_size,
        "trunk_size": network.c3n.image_size,
        "companions": network.companion is not None,
        "detector_rows": 0 if detector is None else detector.rows,
        "short_audio": short_audio is not None,
    }
    metadata = {"kind": KIND, "build": build, "names": dict(names), **about}
    save_checkpoint(path, halved(kept), metadata)


def load_light(path: str | Path) -> LightModel:
    """Read a file written by :func:`save_light`.

    Raises CheckpointError when it is missing, damaged or another kind of file.
    """
    metadata, tensors = read_kind(path, KIND, "a light C3N")
    try:
        names, build = metadata["names"], metadata["build"]
        similarity = light_similarity(
            names["members"], names["sound_class_category"], names["direct"], names["loose"]
        )
        members = torch.zeros(len(names["categories"]), len(names["rows"]))
        for category, rows in enumerate(names["members"]):
            members[category, rows] = 1
        network = LightC3N(
            similarity,
            members,
            names["sound_class_category"],
            channels=build["channels"],
            image_size=build["image_size"],
            overlaps=names.get("overlaps", ()),
            trunk_size=build.get("trunk_size", 0),
            companions=build.get("companions", False),
        ).fold()
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{path} lacks what a light C3N file must say: {error}") from error
    rows = build.get("detector_rows", 0)
    detector = Detector(rows).eval() if rows else None
    short_audio = Yamnet().eval() if build.get("short_audio", False) else None
    for part, module in (("detector", detector), ("short_audio", short_audio)):
        if module is not None:
            stored = [name for name in tensors if name.startswith(f"{part}.")]
            own = {name[len(part) + 1 :]: tensors.pop(name) for name in stored}
            load_state_dict_strictly(module, own, f"{path} ({part})")
    constants = {n: t for n, t in network.state_dict().items() if not _stored(n)}
    load_state_dict_strictly(network, {**constants, **tensors}, str(path))
    return LightModel(
        network=network.eval(),
        rows=tuple(names["rows"]),
        categories=tuple(names["categories"]),
        sound_classes=tuple(names["sound_classes"]),
        audioset=tuple(names["audioset"]),
        metadata=metadata,
        detector=detector,
        short_audio=short_audio,
    )


def _stored(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The file's tensors as they are stored, for inspection."""
    return read_weight_file(path).state_dict()
