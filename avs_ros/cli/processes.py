"""Child processes with a log each, whose death is noticed and told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from avs_ros.errors import AvsError

LAST_LINES = 12
STOP_S = 10.0


class ChildError(AvsError):
    """A process of ours has died; the message ends with the last lines of its log."""


class Child:
    """One running process; everything it says goes to ``log``."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Start ``python WORDS``; ``on_line`` takes each line of its stdout (else: to the log)."""
        self.name, self.log = name, log
        self._file = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stderr=self._file,
            stdout=subprocess.PIPE if on_line else self._file, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )
        self._reader: threading.Thread | None = None
        if on_line is not None:
            self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
            self._reader.start()

    def _read(self, on_line: Callable[[str], None]) -> None:
        for line in self._process.stdout or ():
            on_line(line)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check(self, may_end: bool = False) -> None:
        """Raise :class:`ChildError` if it has died (``may_end``: status 0 is no death)."""
        status = self._process.poll()
        if status is not None and not (may_end and status == 0):
            raise ChildError(
                f"{self.name} has stopped ({_how(status)}); the end of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_LINES:]) or "  (it said nothing)"

    def stop(self) -> int:
        """Ask it to end (SIGINT), insist after ten seconds; returns its status."""
        if self.running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        status = self._process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        self._file.close()
        return status


class Children:
    """Processes that all end when this is left, in the opposite order of their start."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        """Logs go to the folder ``logs``, which is made."""
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._environment = logs, environment
        self._running: list[Child] = []

    def start(
        self, name: str, arguments: Sequence[str], on_line: Callable[[str], None] | None = None
    ) -> Child:
        """Start ``python WORDS`` under this name."""
        child = Child(name, arguments, self._logs / f"{name}.log", self._environment, on_line)
        self._running.append(child)
        return child

    def check(self, may_end: Sequence[Child] = ()) -> None:
        """Raise :class:`ChildError` if one has died."""
        for child in self._running:
            child.check(child in may_end)

    def __enter__(self) -> Children:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all that still run."""
        for child in reversed(self._running):
            child.stop()


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
