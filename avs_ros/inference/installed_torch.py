"""Whether the torch that is installed is one that the models can be built with."""

from __future__ import annotations

import re

from avs_ros.errors import EngineError, MissingDependencyError

OLDEST = (2, 1)


def require_torch() -> None:
    """Raise one sentence where torch is absent or too old (Ubuntu 22.04's own is 1.8).

    Without it an old torch fails somewhere in a model, with a name that it does not have.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch", "The model", "pip install torch") from error
    version = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if version and (int(version[1]), int(version[2])) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise EngineError(
            f"torch {torch.__version__} is installed ({torch.__path__[0]}), the models need "
            f"{needed} or newer: pip install 'torch>={needed}'"
        )
