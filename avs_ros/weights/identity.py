"""Whether a file is the published one: its size and hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avs_ros.weights.sources import PublicFile


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def matches(file: PublicFile, size: int, digest: str) -> bool:
    """Whether ``size`` and ``digest`` are those of ``file``, as far as they are known."""
    right_size = file.size is None or file.size == size
    return right_size and (file.sha256 is None or digest.startswith(file.sha256))
