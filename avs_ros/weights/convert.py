"""Public files into one safetensors file that says what it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from avs_ros.errors import ModelError
from avs_ros.models import audio
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.checkpoints import FORMAT, load_backbone, load_c3n, save_c3n
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.weight_file import read_weight_file

KINDS = ("audio", "visual")


def build_network(kind: str, name: str, paths: Sequence[Path]) -> nn.Module:
    """The network ``name``, loaded from its public files or from a converted one.

    Raises:
        ModelError: unknown kind or name.
        CheckpointError: a file is missing, unreadable, or does not fit.
    """
    if kind == "audio":
        return audio.build(name, checkpoint=paths)
    if kind != "visual":
        raise ModelError(f"weights are of kind {' or '.join(KINDS)}, not {kind!r}")
    if len(paths) != 1:
        raise ModelError(f"a backbone's weights are one file, got {len(paths)}")
    backbone = build_backbone(name)
    load_backbone(backbone, paths[0])
    return backbone


def convert(
    kind: str, name: str, paths: Sequence[Path], output: Path, about: dict[str, Any] | None = None
) -> None:
    """Write the network's weights as one safetensors file, after loading them.

    Metadata: ``network``, ``kind``, the files it was made from, and ``about`` (licence, page,
    ...).  An audio network's classes are in AudioSet order.  The file appears whole or not at
    all.

    Raises:
        ModelError, CheckpointError: as :func:`build_network`.
    """
    network = build_network(kind, name, paths)
    if isinstance(network, audio.AudioNetwork):
        tensors = network.state_dict()
        metadata = {"class_order": "AudioSet", **network.describe()}
    else:
        # In the names of the file, which are those that other programs know, too.
        tensors = read_weight_file(paths[0]).state_dict()
        metadata = {}
    metadata |= {
        "format": FORMAT,
        "kind": kind,
        "network": name,
        "made_from": [path.name for path in paths],
        **(about or {}),
    }
    header = {key: json.dumps(value) for key, value in metadata.items()}
    data = save({key: value.contiguous() for key, value in tensors.items()}, metadata=header)
    part = output.with_name(output.name + ".part")
    part.write_bytes(data)
    part.replace(output)


def convert_c3n(
    path: Path,
    output: Path,
    similarity: str | Path | None = None,
    about: dict[str, Any] | None = None,
) -> str:
    """Write a C3N checkpoint of the published code as one of ours; returns what it is in words.

    ``similarity``: what the network was trained with (see
    :func:`avs_ros.models.label_similarity.load_similarity`); it becomes part of the file.

    Raises:
        CheckpointError: not a C3N checkpoint, or tensors that do not fit.
    """
    loaded = load_c3n(path, load_similarity(similarity))
    metadata = {"made_from": [path.name], **(about or {})}
    part = output.with_name(output.name + ".part")
    save_c3n(part, loaded.network, loaded.audio, loaded.labels, metadata)
    part.replace(output)
    return f"C3N, {loaded.network.visual} and {loaded.audio}"
