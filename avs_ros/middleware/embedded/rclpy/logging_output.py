"""Where log messages go: the console in ROS 2's format, and each node's ``/rosout`` publisher.

The environment variables are ROS 2's: ``RCUTILS_CONSOLE_OUTPUT_FORMAT``,
``RCUTILS_COLORIZED_OUTPUT`` (0 or 1; else: only on a terminal), ``RCUTILS_LOGGING_USE_STDOUT``.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, TextIO

from .arguments import Arguments
from .logging_severity import LoggingSeverity

DEFAULT_FORMAT = "[{severity}] [{time}] [{name}]: {message}"
_FIELD = re.compile(r"\{(\w+)\}")
_COLOURS = {
    LoggingSeverity.DEBUG: "\033[32m",
    LoggingSeverity.INFO: "\033[0m",
    LoggingSeverity.WARN: "\033[33m",
    LoggingSeverity.ERROR: "\033[31m",
    LoggingSeverity.FATAL: "\033[31m",
}
_END_OF_COLOUR = "\033[0m"


@dataclass(frozen=True)
class Record:
    """One message: ``stamp_ns`` is system time since 1970."""

    severity: LoggingSeverity
    name: str
    message: str
    file: str
    function: str
    line: int
    stamp_ns: int

    @classmethod
    def now(
        cls, severity: LoggingSeverity, name: str, message: str, file: str, function: str,
        line: int,
    ) -> Record:
        """Make a record stamped with the present system time."""
        return cls(severity, name, message, file, function, line, time.time_ns())


def format_record(record: Record, template: str = DEFAULT_FORMAT) -> str:
    """Fill a console template; names in braces that ROS 2 does not know stay as they are."""
    seconds, nanoseconds = divmod(record.stamp_ns, 10**9)
    known = {
        "severity": record.severity.name,
        "name": record.name,
        "message": record.message,
        "function_name": record.function,
        "file_name": record.file,
        "short_file_name": os.path.basename(record.file),
        "line_number": str(record.line),
        "time": f"{seconds:010d}.{nanoseconds:09d}",
        "time_as_nanoseconds": f"{record.stamp_ns:019d}",
    }
    return _FIELD.sub(lambda found: known.get(found[1], found[0]), template)


class _Levels:
    """Levels of loggers, whose names form a tree with dots."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._default = LoggingSeverity.INFO
        self._levels: dict[str, LoggingSeverity] = {}

    def set(self, name: str, level: LoggingSeverity) -> None:
        if name:
            self._levels[name] = level
        else:
            self._default = level or LoggingSeverity.INFO

    def get(self, name: str) -> LoggingSeverity:
        if not name:
            return self._default
        return self._levels.get(name, LoggingSeverity.UNSET)

    def effective(self, name: str) -> LoggingSeverity:
        while name:
            level = self._levels.get(name)
            if level:
                return level
            name = name.rpartition(".")[0]
        return self._default


levels = _Levels()


class _Output:
    """The console and the /rosout publishers of this process."""

    def __init__(self) -> None:
        self.console = True
        self.rosout = True
        self._publishers: dict[str, Any] = {}
        self._lock = threading.Lock()
        # A publisher that fails may log; that message must not be published again.
        self._publishing = threading.local()

    def attach(self, name: str, publisher: Any) -> bool:
        with self._lock:
            if name in self._publishers:
                return False
            self._publishers[name] = publisher
            return True

    def detach(self, name: str, publisher: Any) -> None:
        with self._lock:
            if self._publishers.get(name) is publisher:
                del self._publishers[name]

    def _publisher_of(self, name: str) -> Any:
        # A child logger ("node.driver") speaks through its node.
        while name:
            publisher = self._publishers.get(name)
            if publisher is not None:
                return publisher
            name = name.rpartition(".")[0]
        return None

    def emit(self, record: Record) -> None:
        if self.console:
            _write(record)
        if self.rosout and not getattr(self._publishing, "now", False):
            with self._lock:
                publisher = self._publisher_of(record.name)
            if publisher is not None:
                self._publishing.now = True
                try:
                    publisher.publish(_message(publisher.msg_type, record))
                finally:
                    self._publishing.now = False


def _message(message_type: Any, record: Record) -> Any:
    message = message_type()
    message.stamp.sec, message.stamp.nanosec = divmod(record.stamp_ns, 10**9)
    message.level = int(record.severity)
    message.name = record.name
    message.msg = record.message
    message.file = record.file
    message.function = record.function
    message.line = record.line
    return message


def _coloured(stream: TextIO) -> bool:
    wish = os.environ.get("RCUTILS_COLORIZED_OUTPUT")
    return stream.isatty() if wish not in ("0", "1") else wish == "1"


def _write(record: Record) -> None:
    to_stdout = os.environ.get("RCUTILS_LOGGING_USE_STDOUT") == "1"
    stream = sys.stdout if to_stdout else sys.stderr
    text = format_record(record, os.environ.get("RCUTILS_CONSOLE_OUTPUT_FORMAT", DEFAULT_FORMAT))
    if _coloured(stream):
        text = _COLOURS.get(record.severity, "") + text + _END_OF_COLOUR
    # One write call keeps lines of several threads whole.
    stream.write(text + "\n")
    stream.flush()


_output = _Output()


def emit(record: Record) -> None:
    """Send one message to the console and to the publisher of the node that it belongs to."""
    _output.emit(record)


def attach_rosout(logger_name: str, publisher: Any) -> bool:
    """Publish what this logger and its children say; ``False`` when the name is taken.

    ``publisher`` is one of ``rcl_interfaces/msg/Log`` on ``/rosout``.
    """
    return _output.attach(logger_name, publisher)


def detach_rosout(logger_name: str, publisher: Any) -> None:
    """Undo ``attach_rosout``; nothing happens when another publisher holds the name."""
    _output.detach(logger_name, publisher)


def configure(arguments: Arguments) -> None:
    """Take the log levels and the outputs from a command line."""
    _output.console = arguments.stdout_logs
    _output.rosout = arguments.rosout_logs
    if arguments.log_level is not None:
        levels.set("", arguments.log_level)
    for name, level in arguments.logger_levels.items():
        levels.set(name, level)


def reset() -> None:
    """Back to the defaults: everything from INFO up, to the console and to /rosout."""
    levels.clear()
    _output.console = True
    _output.rosout = True
