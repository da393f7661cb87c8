"""Which messages of a call are really logged: ``once``, ``skip_first``, ``throttle_duration_sec``.

Each place in the code that logs has its own state, as in rclpy: a filter counts per call site.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from .logging_severity import LoggingSeverity

_OPTIONS = ("throttle_duration_sec", "throttle_time_source_type", "skip_first", "once")


@dataclass(frozen=True)
class FilterOptions:
    """The filters that one call asked for; all off by default."""

    throttle_duration_sec: float = 0.0
    throttle_time_source_type: Any = None
    skip_first: bool = False
    once: bool = False

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> FilterOptions:
        """Check the keyword arguments of a logging call.

        Raises ``TypeError`` for a name that is not a filter option, or a time source alone;
        ``ValueError`` for a time source that is not a clock.
        """
        for name in keywords:
            if name not in _OPTIONS:
                raise TypeError(
                    f'parameter "{name}" is not one of the recognized logging options '
                    f'"{list(_OPTIONS)}"'
                )
        options = cls(**keywords)
        source = options.throttle_time_source_type
        if source is not None:
            if not options.throttle_duration_sec:
                raise TypeError(
                    'required parameter "throttle_duration_sec" not specified but is required '
                    'for the logging filter "throttle"'
                )
            if not hasattr(source, "now"):
                raise ValueError(
                    f'Received throttle_time_source_type of "{source}" is not a clock instance'
                )
        return options


class CallSite:
    """What is remembered of one place that logs."""

    def __init__(self, name: str, severity: LoggingSeverity, options: FilterOptions) -> None:
        self._name = name
        self._severity = severity
        self._options = options
        self._last_ns: int | None = None
        self._skipped = False
        self._logged = False

    def check_unchanged(
        self, name: str, severity: LoggingSeverity, options: FilterOptions
    ) -> None:
        """Raise ``ValueError`` when the same line now logs in another way.

        rclpy refuses this, so code that does it must fail here as well.
        """
        if severity != self._severity:
            raise ValueError("Logger severity cannot be changed between calls.")
        if name != self._name:
            raise ValueError("Logger name cannot be changed between calls.")
        if options != self._options:
            raise ValueError("Logging filter parameters cannot be changed between calls.")

    def passes(self) -> bool:
        """Say whether this message is to be logged, and remember that it was asked for.

        The order (throttle, skip_first, once) is rclpy's.
        """
        return self._throttle() and self._skip_first() and self._once()

    def _throttle(self) -> bool:
        duration = self._options.throttle_duration_sec
        if not duration:
            return True
        source = self._options.throttle_time_source_type
        now = time.monotonic_ns() if source is None else source.now().nanoseconds
        if self._last_ns is not None and now < self._last_ns + duration * 1e9:
            return False
        self._last_ns = now
        return True

    def _skip_first(self) -> bool:
        if self._options.skip_first and not self._skipped:
            self._skipped = True
            return False
        return True

    def _once(self) -> bool:
        if self._options.once and self._logged:
            return False
        self._logged = True
        return True
