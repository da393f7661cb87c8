"""The shipped model, loaded once for several runs or nodes of a test file."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _light() -> Any:
    from avs_ros.inference import create_segmenter

    return create_segmenter("c3n_light", engine="torch", device="cpu", threads=1)


class KeptLight:
    """``c3n_light`` with no past; closing it keeps it for the next one."""

    def __init__(self) -> None:
        self.__dict__["_own"] = _light()
        self._own.reset()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._own, name, value)

    def close(self) -> None:
        """Keep it."""
