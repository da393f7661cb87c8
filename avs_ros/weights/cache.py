"""Where downloaded weights are kept."""

from __future__ import annotations

import os
from pathlib import Path

from avs_ros.weights.sources import WeightSource


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
