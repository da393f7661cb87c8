"""A form in a process of its own, seen from the process that measures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from avs_ros.benchmarks.candidate_process import EXPORT
from avs_ros.benchmarks.subject import Subject
from avs_ros.errors import AvsError, EngineError

_LAST_LINES = 8
_END_S = 10.0


class Candidate:
    """One form, loaded and waiting: while others are measured it does nothing.

    A process of its own gives each form its own peak of memory, and keeps the thread pools of
    the libraries apart.
    """

    def __init__(self, form: str, subject: Subject, device: str = "cpu") -> None:
        """Start the process; :meth:`wait` until it is loaded before the first step."""
        self.form, self.subject, self.device = form, subject, device
        self.load_s = float("nan")
        spec = {"form": form, "subject": subject.values(), "device": device}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "avs_ros.benchmarks.candidate_process", json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def wait(self) -> None:
        """Until it is loaded; raises EngineError with its reason where it cannot serve."""
        ready = self._read()
        self.load_s, self.device = float(ready["load_s"]), str(ready["device"])

    def step(
        self, number: int, stamp_ns: int | None = None, save: Path | None = None
    ) -> Mapping[str, Any]:
        """One frame: ``ms`` it took and its ``label``; the logits go to ``save`` (.npy)."""
        self._write(
            {"do": "step", "number": number, "stamp_ns": stamp_ns, "save": str(save or "")}
        )
        return self._read()

    def logits(self, number: int) -> tuple[np.ndarray[Any, Any], int]:
        """Serve frame ``number`` and hand over its mask logits and label."""
        with tempfile.TemporaryDirectory(prefix="avs_benchmark_") as folder:
            path = Path(folder) / "logits.npy"
            label = int(self.step(number, save=path)["label"])
            return np.load(path), label

    def memory(self) -> Mapping[str, Any]:
        """``peak_mib``, ``running_mib``, ``gpu_mib`` and ``states`` (see ``memory``)."""
        self._write({"do": "memory"})
        return self._read()

    def close(self) -> None:
        """End the process."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(_END_S)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Candidate:
        """The process runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def _write(self, command: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            raise EngineError(f"{self.form} has no input")
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise EngineError(self._death()) from error

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise EngineError(self._death())
        payload: dict[str, Any] = json.loads(line)
        if "error" in payload:
            raise EngineError(str(payload["error"]))
        return payload

    def _death(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().splitlines()[-_LAST_LINES:]
        why = " (out of memory?)" if status == -9 else ""
        return f"the process of {self.form} has ended, status {status}{why}: {' / '.join(lines)}"


def export(subject: Subject) -> str:
    """Make the exported file that engines share, so that none is charged for it.

    Returns "" or the message that says why it cannot be made.
    """
    with Candidate(EXPORT, subject) as candidate:
        try:
            candidate.wait()
        except AvsError as error:
            return str(error)
    return ""
