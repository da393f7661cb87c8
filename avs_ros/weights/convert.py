"""Public files: whether they are the published ones and fit, and one safetensors file of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from avs_ros.errors import AvsError
from avs_ros.models import audio
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.checkpoints import load_backbone, load_c3n, save_c3n, save_checkpoint
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.weight_file import read_weight_file
from avs_ros.weights.sources import PublicFile, WeightSource, expected, matches, sha256_of


def build_network(source: WeightSource, paths: Sequence[Path]) -> nn.Module:
    """The network of ``source``, loaded from its public files or from a converted one.

    Raises CheckpointError where a file is missing, unreadable, or does not fit.
    """
    if source.kind == "audio":
        return audio.build(source.network, checkpoint=paths)
    backbone = build_backbone(source.network)
    load_backbone(backbone, paths[0])
    return backbone


def convert(source: WeightSource, paths: Sequence[Path], output: Path) -> None:
    """Write the weights of ``source`` as one safetensors file, after loading them.

    Metadata: ``network``, ``kind``, ``licence``, ``page`` and the files it was made from.  An
    audio network's classes are in AudioSet order.  The file appears whole or not at all.  Raises
    as :func:`build_network`.
    """
    network = build_network(source, paths)
    metadata: dict[str, Any] = {}
    if isinstance(network, audio.AudioNetwork):
        tensors = network.state_dict()
        metadata = {"class_order": "AudioSet", **network.describe()}
    else:
        # In the names of the file, which are those that other programs know, too.
        tensors = read_weight_file(paths[0]).state_dict()
    save_checkpoint(output, tensors, {
        **metadata, "kind": source.kind, "network": source.network,
        "made_from": [path.name for path in paths], "licence": source.licence,
        "page": source.page,
    })


def convert_c3n(path: Path, output: Path, similarity: str | Path | None = None) -> str:
    """Write a C3N checkpoint of the published code as one of ours; returns what it is in words.

    ``similarity``: what the network was trained with (see
    :func:`avs_ros.models.label_similarity.load_similarity`); it becomes part of the file.  Raises
    CheckpointError for another kind of file, or tensors that do not fit.
    """
    loaded = load_c3n(path, load_similarity(similarity))
    save_c3n(output, loaded.network, loaded.audio, loaded.labels, {"made_from": [path.name]})
    return f"C3N, {loaded.network.visual} and {loaded.audio}"


def verify(source: WeightSource, paths: Sequence[Path]) -> Iterator[tuple[bool, str, str]]:
    """Check the files of ``source`` at ``paths`` (in its order): identity, then that they load.

    Gives for each check whether it is right, what was looked at, and what was found.  A file
    whose hash is not known to us is reported with its hash and counts as right when it loads.
    """
    right = True
    for file, path in zip(source.files, paths, strict=True):
        ok, found = _identity(file, path)
        right &= ok
        yield ok, file.name, found
    if not right:
        return
    try:
        network = build_network(source, paths)
    except AvsError as error:
        yield False, source.network, str(error)
        return
    count = sum(parameter.numel() for parameter in network.parameters())
    description = f"loads: every tensor fits, {count / 1e6:.1f} M parameters"
    yield True, source.network, description


def _identity(file: PublicFile, path: Path) -> tuple[bool, str]:
    if not path.is_file():
        return False, "missing"
    digest, size = sha256_of(path), path.stat().st_size
    if not matches(file, size, digest):
        return False, f"{size} bytes, SHA-256 {digest}; published: {expected(file)}"
    if file.sha256 is None:
        return True, f"no published hash is known; SHA-256 {digest}"
    part = "" if len(file.sha256) == len(digest) else " (published only its first digits)"
    return True, f"SHA-256 {digest}{part}"
