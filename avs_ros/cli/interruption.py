"""Ctrl-C as a wish to stop: what is being written is finished first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interruption:
    """While entered, the first SIGINT or SIGTERM only sets :attr:`status`; a second one raises.

    ``status``: 0, or the exit status that the signal asks for (130, 143).
    """

    def __init__(self) -> None:
        """Not yet listening."""
        self.status = 0
        self._previous: dict[int, Any] = {}

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        if self.status:
            raise KeyboardInterrupt
        self.status = 128 + signum

    def __enter__(self) -> Interruption:
        """Begin to listen (in the main thread; elsewhere signals cannot be caught)."""
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
