"""Loggers with rclpy's names: ``get_logger``, ``RcutilsLogger``, ``set_logger_level``, ..."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from . import logging_output
from .logging_filters import CallSite, FilterOptions
from .logging_severity import LoggingSeverity, severity_from_string

_THIS_FILE = __file__


class RcutilsLogger:
    """A named logger; names form a tree with dots, and a child uses its parent's level."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._sites: dict[tuple[Any, int], CallSite] = {}

    def get_child(self, name: str) -> RcutilsLogger:
        """Give the logger ``<this name>.<name>``; raises ``ValueError`` for an empty name."""
        if not name:
            raise ValueError("Child logger name must not be empty.")
        return RcutilsLogger(f"{self.name}.{name}" if self.name else name)

    def set_level(self, level: LoggingSeverity | int) -> None:
        """Log only from ``level`` up; ``UNSET`` asks the parent again."""
        logging_output.levels.set(self.name, LoggingSeverity(level))

    def get_effective_level(self) -> LoggingSeverity:
        """Give the level that counts: the own one, or that of the nearest parent with one."""
        return logging_output.levels.effective(self.name)

    def is_enabled_for(self, severity: LoggingSeverity | int) -> bool:
        """Say whether a message of this severity would be logged."""
        return LoggingSeverity(severity) >= self.get_effective_level()

    def log(
        self,
        message: str,
        severity: LoggingSeverity | int,
        name: str | None = None,
        **filters: Any,
    ) -> bool:
        """Log ``message``; ``False`` when a filter or the level held it back.

        Keyword arguments: ``once``, ``skip_first``, ``throttle_duration_sec`` (s) and
        ``throttle_time_source_type`` (a clock).  Raises ``TypeError`` for other keywords and
        ``ValueError`` when the same line of code changes its severity, name or filters.
        """
        severity = LoggingSeverity(severity)
        if not self.is_enabled_for(severity):
            return False
        if not isinstance(message, str):
            raise TypeError(f"a log message must be a str, not {type(message).__name__}")
        name = self.name if name is None else name
        options = FilterOptions.from_keywords(filters)
        caller = _caller()
        key = (caller.f_code, caller.f_lasti)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = CallSite(name, severity, options)
        else:
            site.check_unchanged(name, severity, options)
        if not site.passes():
            return False
        logging_output.emit(
            logging_output.Record.now(
                severity, name, message, caller.f_code.co_filename, caller.f_code.co_name,
                caller.f_lineno,
            )
        )
        return True

    def debug(self, message: str, **filters: Any) -> bool:
        """Log with ``DEBUG``; see ``log``."""
        return self.log(message, LoggingSeverity.DEBUG, **filters)

    def info(self, message: str, **filters: Any) -> bool:
        """Log with ``INFO``; see ``log``."""
        return self.log(message, LoggingSeverity.INFO, **filters)

    def warning(self, message: str, **filters: Any) -> bool:
        """Log with ``WARN``; see ``log``."""
        return self.log(message, LoggingSeverity.WARN, **filters)

    def warn(self, message: str, **filters: Any) -> bool:
        """Log with ``WARN``: the older name of ``warning``."""
        return self.log(message, LoggingSeverity.WARN, **filters)

    def error(self, message: str, **filters: Any) -> bool:
        """Log with ``ERROR``; see ``log``."""
        return self.log(message, LoggingSeverity.ERROR, **filters)

    def fatal(self, message: str, **filters: Any) -> bool:
        """Log with ``FATAL``; see ``log``."""
        return self.log(message, LoggingSeverity.FATAL, **filters)


def _caller() -> FrameType:
    frame = sys._getframe(1)
    while frame.f_code.co_filename == _THIS_FILE and frame.f_back is not None:
        frame = frame.f_back
    return frame


_root_logger = RcutilsLogger()


def get_logger(name: str) -> RcutilsLogger:
    """Make the logger of that name; raises ``ValueError`` for an empty one."""
    if not name:
        raise ValueError("Logger name must not be empty.")
    return _root_logger.get_child(name)


def node_logger_name(node_name: str, namespace: str) -> str:
    """Give the name of a node's logger: ``robot.camera`` for ``/robot/camera``."""
    return ".".join([*namespace.strip("/").split("/"), node_name]).lstrip(".")


def initialize() -> None:
    """Start logging with the defaults."""
    logging_output.reset()


def shutdown() -> None:
    """Forget the levels and outputs that were set."""
    logging_output.reset()


def clear_config() -> None:
    """Forget the levels and outputs that were set."""
    shutdown()
    initialize()


def set_logger_level(
    name: str, level: LoggingSeverity | int, detailed_error: bool = False
) -> None:
    """Set the level of the logger ``name`` (empty: the default of all loggers)."""
    del detailed_error  # levels are kept in this process, so setting one cannot fail
    logging_output.levels.set(name, LoggingSeverity(level))


def get_logger_level(name: str) -> LoggingSeverity:
    """Give the level that was set on this logger itself, or ``UNSET``."""
    return logging_output.levels.get(name)


def get_logger_effective_level(name: str) -> LoggingSeverity:
    """Give the level that counts for this logger."""
    return logging_output.levels.effective(name)


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    """Read ``debug``, ``INFO``, ...; raises ``ValueError`` for anything else."""
    return severity_from_string(log_severity)
