"""Where a file comes from: the code and the data that it was made with."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any


def commit() -> str:
    """The repository's commit, "" where there is none; "+" where files have changed since."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()


def made_by(verb: str, settings: object, data: Path) -> dict[str, Any]:
    """What a file keeps of the run of a verb: its settings, the code and the data."""
    return {
        "made_by": f"python -m recipes.c3n_light {verb}",
        "settings": dict(vars(settings)),
        "commit": commit(),
        "data": data_digests(data),
    }


def data_digests(data: Path) -> dict[str, str]:
    """SHA-256 of the tables that name the data (each file name with its size)."""
    found = {}
    for folder in ("images/instruments", "images/things", "images/coco_mini", "images/people",
                   "images/camvid", "audio/esc10", "audio/effects", "audio/speech"):  # fmt: skip
        digest = hashlib.sha256()
        for path in sorted((data / folder).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(data)} {path.stat().st_size}\n".encode())
        found[folder] = digest.hexdigest()[:16]
    return found
