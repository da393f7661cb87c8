"""The shipped model, loaded once for several runs or nodes of a test file."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from avs_ros.gate import GateConfig

# One worker loads the model, for the files of all tests.
KEPT = pytest.mark.xdist_group("kept_light")


@cache
def _light() -> Any:
    from remembered_networks import remembered_networks

    from avs_ros.inference import create_segmenter

    with remembered_networks():
        return create_segmenter("c3n_light", engine="torch", device="cpu", threads=1)


class KeptLight:
    """``c3n_light`` with no past and its own gate; closing it keeps it for the next one."""

    def __init__(self) -> None:
        self.__dict__["_own"] = _light()
        self._own.gate = GateConfig()
        self._own.reset()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._own, name, value)

    def close(self) -> None:
        """Keep it."""
