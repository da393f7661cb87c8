"""Files that engines make once and use again: exported graphs, built engines, decisions."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from avs_ros.inference.engines.program import StepProgram

_KEPT = 4


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


def cached_path(program: StepProgram, suffix: str) -> Path:
    """Where a file made from ``program`` is kept; another weight or shape, another name."""
    return cache_folder() / f"{program.name}_{program.fingerprint[:16]}{suffix}"



def forget_old(folder: Path, pattern: str) -> None:
    """Keep the few newest files of a pattern; each new weight of a model makes another."""
    files = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime)
    for file in files[:-_KEPT]:
        file.unlink(missing_ok=True)
