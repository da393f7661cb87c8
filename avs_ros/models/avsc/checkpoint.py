"""AVSC's file: one safetensors with tensors in half precision and all it must know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avs_ros.errors import CheckpointError, ModelError
from avs_ros.models.avsc.config import AVSCConfig
from avs_ros.models.avsc.network import AVSC
from avs_ros.models.checkpoints import halved, read_kind, save_checkpoint
from avs_ros.models.labels import audioset
from avs_ros.models.weight_file import load_state_dict_strictly

KIND = "avsc"


@dataclass(frozen=True)
class LoadedAVSC:
    """A network ready to use, in evaluation mode on the CPU, and what its file says of itself."""

    network: AVSC
    metadata: Mapping[str, Any] = field(default_factory=dict)


def save_avsc(path: str | Path, net: AVSC, metadata: Mapping[str, Any] | None = None) -> None:
    """Write ``net`` in float16, whole or not at all.

    ``metadata`` is added to what is written anyway (``kind``, ``build``, ``audioset``); known
    keys: ``calibration`` ``{"score": threshold}`` from which an instance's score counts as
    sounding, ``preprocessing``, ``provenance``, ``licence``.
    """
    about = {"kind": KIND, "build": net.config.values(), "audioset": list(audioset().names)}
    save_checkpoint(path, halved(net.state_dict()), {**about, **(metadata or {})})


def load_avsc(path: str | Path) -> LoadedAVSC:
    """Read a file written by :func:`save_avsc`.

    Raises CheckpointError when it is missing, damaged or another kind of file.
    """
    metadata, tensors = read_kind(path, KIND, "an AVSC")
    try:
        network = AVSC(AVSCConfig.of(metadata["build"]))
    except (KeyError, TypeError, ModelError) as error:
        raise CheckpointError(f"{path} lacks what an AVSC file must say: {error}") from error
    load_state_dict_strictly(network, tensors, str(path))
    return LoadedAVSC(network.eval(), metadata)
