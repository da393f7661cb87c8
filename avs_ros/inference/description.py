"""What computed a result: the record that makes it repeatable."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import avs_ros
from avs_ros.errors import ModelError
from avs_ros.inference.engines import ENGINES
from avs_ros.inference.registry import weight_file
from avs_ros.inference.segmenter import Segmenter
from avs_ros.weights.identity import sha256_of


def describe(
    segmenter: Segmenter, model: str | Path, threads: int | None = None
) -> dict[str, Any]:
    """Plain values that JSON can hold.

    ``model``, ``threads``: as ``create_segmenter`` got them.  Keys: ``avs_ros`` (version),
    ``model``, ``engine``, ``library`` (the engine's, with its version), ``device``, ``threads``
    (a number, or "auto") and ``weights`` ({file name: SHA-256}; empty where none was read).  On
    one machine, equal records and equal input give equal masks.
    """
    return {
        "avs_ros": avs_ros.__version__,
        "model": segmenter.name,
        "engine": segmenter.engine,
        "library": _library(segmenter.engine),
        "device": segmenter.device,
        "threads": threads or "auto",
        "weights": _weights(segmenter, model),
    }


def _library(engine: str) -> str:
    name = (ENGINES[engine].requires or "torch") if engine in ENGINES else ""
    try:
        return f"{name} {importlib.metadata.version(name)}" if name else ""
    except importlib.metadata.PackageNotFoundError:
        return name


def _weights(segmenter: Segmenter, model: str | Path) -> dict[str, str]:
    """Of the model's own file, and of others that the segmenter was built from."""
    others: dict[str, str] = getattr(segmenter, "weights", {})
    try:
        path = weight_file(model)
    except ModelError:  # not one of ours
        path = None
    own = {} if path is None or not path.is_file() else {path.name: sha256_of(path)}
    return {**own, **others}
