"""Counts what came in and what could not be used, by reason; any thread may count."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from avs_ros.conversions.messages import Message, reason_of
from avs_ros.errors import AvsError


class MessageCounters:
    """Counters with the last message said about each, for diagnostics and the log."""

    def __init__(self, logger: Any = None) -> None:
        """Start at zero; :meth:`refuse` writes to ``logger`` (a node's)."""
        self._logger = logger
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def count(self, reason: str, message: str = "") -> int:
        """Add one to ``reason`` and return the new count; ``message`` explains the latest."""
        with self._lock:
            self._counts[reason] += 1
            if message:
                self._last[reason] = message
            return self._counts[reason]

    def refuse(self, error: Exception, what: str = "message") -> None:
        """Count a message that cannot be used; say so the 1st, 10th, 100th… time.

        Not only our own errors: what OpenCV, NumPy or a resampler raises on account of one
        message is that message's fault, and no reason for a node to end.
        """
        if isinstance(error, AvsError):
            reason, message = reason_of(error), str(error)
        else:
            kind = type(error)
            reason = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
            message = f"{reason}: {' '.join(str(error).split())}"
        times = self.count(reason, message)
        if self._logger is not None and str(times).strip("0") == "1":
            self._logger.warning(f"{what} refused ({times}x): {message}")
            if not isinstance(error, AvsError):
                self._logger.debug("".join(traceback.format_exception(error)))

    def guarded(
        self, callback: Callable[[Message], None], what: str = "message"
    ) -> Callable[[Message], None]:
        """``callback``, but what it raises is counted, and refuses that one message only."""

        def take(msg: Message) -> None:
            try:
                callback(msg)
            except Exception as error:
                self.refuse(error, what)

        return take

    def counts(self) -> dict[str, int]:
        """All counters, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def total(self) -> int:
        """Messages refused so far."""
        with self._lock:
            return sum(self._counts.values())

    def messages(self) -> dict[str, str]:
        """The latest message of each reason that has one."""
        with self._lock:
            return dict(self._last)
