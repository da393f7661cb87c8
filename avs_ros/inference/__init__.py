"""Models behind one protocol: frame and sound in, the sounding object out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avs_ros.gate import GateConfig
from avs_ros.inference.segmenter import Segmenter

__all__ = ["Segmenter", "create_segmenter"]


def create_segmenter(
    model: str | Path = "c3n_light", engine: str = "auto", device: str = "auto", *,
    gate: GateConfig | None = None, **options: Any,
) -> Segmenter:
    """See :func:`avs_ros.inference.registry.create_segmenter` (imported on first use).

    Raises also what :func:`avs_ros.inference.installed_torch.require_torch` does.
    """
    from avs_ros.inference.installed_torch import require_torch

    require_torch()
    from avs_ros.inference import registry

    return registry.create_segmenter(model, engine, device, gate=gate, **options)
