"""Whether the torch that is installed is one that the models can be built with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

from avs_ros.errors import EngineError, MissingDependencyError

OLDEST = (2, 1)


def require_torch() -> None:
    """Raise one message where torch is absent or too old (Ubuntu 22.04's own is 1.8).

    Without it an old torch fails somewhere in a model, with a name that it does not have.  It is
    not imported for this: a model that is kept on a portable engine starts without it.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None:
        raise MissingDependencyError("torch", "The model", "pip install torch")
    text = _version()
    version = re.match(r"(\d+)\.(\d+)", text)
    if version and (int(version[1]), int(version[2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise EngineError(
            f"torch {text} is installed ({Path(str(spec.origin)).parent}), the models need "
            f"{needed} or newer: pip install 'torch>={needed}'"
        )


def _version() -> str:
    if "torch" not in sys.modules:
        try:
            return importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            pass  # copied there by hand: only it can say
    import torch

    return str(torch.__version__)
