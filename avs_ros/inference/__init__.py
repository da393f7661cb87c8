"""Models behind one protocol: frame and sound in, the sounding object out."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.gate import GateConfig
from avs_ros.inference.segmenter import Segmenter

__all__ = ["Segmenter", "create_segmenter", "require_torch"]

# The oldest torch that the models can be built with.
OLDEST = (2, 1)


def require_torch() -> None:
    """Raise one sentence where torch is absent or too old (Ubuntu 22.04's own is 1.8).

    Without it an old torch fails somewhere in a model, with a name that it does not have.  Torch
    itself is not imported: a portable engine's second start needs none of it.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("torch", "The model", "pip install torch")
    folder = Path(spec.submodule_search_locations[0])
    text = getattr(sys.modules.get("torch"), "__version__", "")
    if not text and (folder / "version.py").is_file():
        said = (folder / "version.py").read_text(encoding="utf-8")
        text = "".join(re.findall(r"""^__version__ = ['"]([^'"]+)""", said, re.MULTILINE))
    version = re.match(r"(\d+)\.(\d+)", text)
    if version and (int(version[1]), int(version[2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise EngineError(
            f"torch {text} is installed ({folder}), the models need {needed} or newer: "
            f"pip install 'torch>={needed}'"
        )


def create_segmenter(
    model: str | Path = "c3n_light", engine: str = "auto", device: str = "auto", *,
    gate: GateConfig | None = None, **options: Any,
) -> Segmenter:
    """See :func:`avs_ros.inference.registry.create_segmenter` (imported on first use).

    Raises also what :func:`require_torch` does.
    """
    require_torch()
    from avs_ros.inference import registry

    return registry.create_segmenter(model, engine, device, gate=gate, **options)
