"""Counts what came in and what could not be used, by reason; any thread may count."""

from __future__ import annotations

import threading
from collections import Counter


class MessageCounters:
    """Counters with the last sentence said about each, for diagnostics and the log."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def count(self, reason: str, sentence: str = "") -> int:
        """Add one to ``reason`` and return the new count; ``sentence`` explains the latest."""
        with self._lock:
            self._counts[reason] += 1
            if sentence:
                self._last[reason] = sentence
            return self._counts[reason]

    def counts(self) -> dict[str, int]:
        """All counters, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def sentences(self) -> dict[str, str]:
        """The latest sentence of each reason that has one."""
        with self._lock:
            return dict(self._last)
