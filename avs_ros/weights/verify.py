"""Checks whether a weight file is the published one and fits its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avs_ros.errors import AvsError
from avs_ros.weights.convert import build_network
from avs_ros.weights.identity import matches, sha256_of
from avs_ros.weights.sources import PublicFile, WeightSource


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
