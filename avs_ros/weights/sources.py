"""Public weight files: the table of them, where they are kept, whether a file is the right one.

The table is ``data/weights.yaml``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from avs_ros.errors import ModelError


@dataclass(frozen=True)
class PublicFile:
    """One file: its name in the cache, where it is, and what is known of its content.

    ``url`` None: it cannot be fetched by a program, only in a browser from the source's page.
    ``size`` in bytes; ``about_mib`` where only its rounded size is published or follows from the
    number of parameters.  ``sha256`` may be only the beginning of the hash (some projects put it
    into the file name).
    """

    name: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    about_mib: int | None = None


@dataclass(frozen=True)
class WeightSource:
    """Files that together hold the weights of one ``network``.

    ``kind``: ``audio`` (a name of ``avs_ros.models.audio``) or ``visual`` (a backbone name).
    """

    name: str
    kind: str
    network: str
    files: tuple[PublicFile, ...]
    licence: str
    page: str
    note: str = ""


def _sources() -> tuple[WeightSource, ...]:
    text = files("avs_ros").joinpath("data", "weights.yaml").read_text(encoding="utf-8")
    return tuple(
        WeightSource(**{**row, "files": tuple(PublicFile(**file) for file in row["files"])})
        for row in yaml.safe_load(text)
    )


SOURCES = _sources()


def find_source(name: str) -> WeightSource:
    """The source called ``name``; ModelError lists all of them when there is none."""
    for source in SOURCES:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in SOURCES)
    raise ModelError(f"no known weights are called {name!r}; known: {known}")


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/avs_ros/weights``, or the same under ``~/.cache``; may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores relative values.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "avs_ros" / "weights"


def cached_paths(source: WeightSource, folder: Path | None = None) -> list[Path] | None:
    """The source's files in the cache, in its order; None unless all of them are there."""
    root = folder or cache_folder()
    paths = [root / file.name for file in source.files]
    return paths if all(path.is_file() for path in paths) else None


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
