"""Severities of log messages, with the numbers of ``rcl_interfaces/msg/Log``."""

from __future__ import annotations

from enum import IntEnum


class LoggingSeverity(IntEnum):
    """How bad a message is; ``UNSET`` on a logger means: ask the parent."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


def severity_from_string(name: str) -> LoggingSeverity:
    """Read ``debug``, ``INFO``, ... in any case; raises ``ValueError`` for anything else."""
    try:
        return LoggingSeverity[name.upper()]
    except KeyError:
        raise ValueError(
            f"'{name}' is not a severity (use one of debug, info, warn, error, fatal)"
        ) from None
