"""Files that engines make once and use again: exported graphs, built engines, decisions."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avs_ros.inference.engines.prepared import Step

_KEPT = 4
_DIGITS = 16


def cache_folder() -> Path:
    """``$AVS_CACHE``, or ``avs_ros`` in the user's cache folder, or a temporary one.

    The first of them that can be written to; it exists afterwards.
    """
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    candidates = [os.environ.get("AVS_CACHE"), os.path.join(home, "avs_ros")]
    for candidate in candidates:
        if candidate:
            folder = Path(candidate).expanduser() / "engines"
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError:
                continue
            if os.access(folder, os.W_OK):
                return folder
    return Path(tempfile.mkdtemp(prefix="avs_ros_"))


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write what shall be ``path``: it gets there whole or not at all."""
    partial = path.with_name(f"{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def cached_path(step: Step, suffix: str) -> Path:
    """Where a file made from ``step`` is kept; another weight or shape, another name."""
    return cache_folder() / f"{step.name}_{step.fingerprint[:_DIGITS]}{suffix}"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """The networks' and the exporter's source: another version's exports do not count."""
    digest = hashlib.sha256(importlib.metadata.version("torch").encode())
    package = Path(__file__).resolve().parents[2]
    inference = package / "inference"
    files = [*sorted((package / "models").rglob("*.py")), *sorted(inference.glob("*_steps.py"))]
    for path in [*files, inference / "export.py"]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def forget_old(folder: Path, name: str, ending: str) -> None:
    """Keep a model's few newest files of an ending, and what was made beside them.

    Each new weight of a model makes another; what is made beside a file begins with its name, the
    ending aside.
    """
    # Not just any middle: "c3n_light" is not "c3n_light_audio".
    pattern = f"{glob.escape(name)}_{'[0-9a-f]' * _DIGITS}{ending}"
    files = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        for beside in folder.glob(f"{glob.escape(file.stem)}*"):
            beside.unlink(missing_ok=True)
