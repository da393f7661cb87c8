"""Resume points of a training run: written in one step, read without unpickling code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avs_ros.errors import CheckpointError


@dataclass
class Progress:
    """Where a run stands: the next step to do, and the best validation M_J so far.

    Random numbers need no saving: each step seeds its own from (seed, epoch, step).
    """

    epoch: int = 0
    step: int = 0
    best: float = -1.0


def save(path: Path, progress: Progress, parts: dict[str, Any]) -> None:
    """Write ``progress`` and the state dicts of ``parts`` (network, optimiser, scaler)."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state["progress"] = vars(progress)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path: Path, parts: dict[str, Any]) -> Progress:
    """Fill ``parts`` from ``path``; CheckpointError when the file is another run's."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return Progress(**state["progress"])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not continue this run ({error}); choose another output folder or "
            "start anew without --resume"
        ) from error
