"""Public files: whether they are the published ones and fit, and one safetensors file of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from avs_ros.errors import AvsError, ModelError
from avs_ros.models import audio
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.checkpoints import load_backbone, load_c3n, save_c3n, save_checkpoint
from avs_ros.models.label_similarity import load_similarity
from avs_ros.models.weight_file import read_weight_file
from avs_ros.weights.sources import PublicFile, WeightSource, matches, sha256_of

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
    metadata |= {"kind": kind, "network": name, "made_from": [path.name for path in paths]}
    save_checkpoint(output, tensors, {**metadata, **(about or {})})


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
    save_c3n(output, loaded.network, loaded.audio, loaded.labels, metadata)
    return f"C3N, {loaded.network.visual} and {loaded.audio}"


@dataclass(frozen=True)
class Finding:
    """Result of a check: ``ok``, what was looked at, and what was found."""

    ok: bool
    subject: str
    description: str


def verify(source: WeightSource, paths: Sequence[Path]) -> list[Finding]:
    """Check the files of ``source`` at ``paths`` (in its order): identity, then that they load.

    A file whose hash is not known to us is reported with its hash and counts as right when it
    loads.
    """
    findings = [_identity(file, path) for file, path in zip(source.files, paths, strict=True)]
    if all(finding.ok for finding in findings):
        findings.append(_loads(source, paths))
    return findings


def _identity(file: PublicFile, path: Path) -> Finding:
    if not path.is_file():
        return Finding(False, file.name, "missing")
    digest = sha256_of(path)
    size = path.stat().st_size
    if not matches(file, size, digest):
        expected = f"{file.size or '?'} bytes, SHA-256 {file.sha256 or '?'}"
        return Finding(
            False, file.name, f"{size} bytes, SHA-256 {digest}; published: {expected}"
        )
    if file.sha256 is None:
        return Finding(True, file.name, f"no published hash is known; SHA-256 {digest}")
    whole = len(file.sha256) == len(digest)
    part = "" if whole else " (published only its first digits)"
    return Finding(True, file.name, f"SHA-256 {digest}{part}")


def _loads(source: WeightSource, paths: Sequence[Path]) -> Finding:
    try:
        network = build_network(source.kind, source.network, paths)
    except AvsError as error:
        return Finding(False, source.network, str(error))
    count = sum(parameter.numel() for parameter in network.parameters())
    description = f"loads: every tensor fits, {count / 1e6:.1f} M parameters"
    return Finding(True, source.network, description)
