"""A form in a process of its own, and that process: told what to do line by line (JSON).

``python -m avs_ros.benchmarks.candidate SPEC``, where SPEC holds ``form``, ``subject``, ``device``
and, with ``form`` "export", makes the exported file that engines share.  Commands:
``{"do": "step", "number": n, "stamp_ns": s | null, "save": path | null}`` and
``{"do": "memory"}``; the end of the input ends the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from avs_ros.benchmarks.measuring import (
    forget_peak,
    gpu_peak_mib,
    peak_mib,
    recent_peak_mib,
)
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
            [sys.executable, "-m", "avs_ros.benchmarks.candidate", json.dumps(spec)],
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
    with closing(Candidate(EXPORT, subject)) as candidate:
        try:
            candidate.wait()
        except AvsError as error:
            return str(error)
    return ""


EXPORT = "export"
# Opening a subject on any engine that runs exported files makes them.
EXPORT_ENGINE = "onnxruntime"


def _say(out: TextIO, **payload: Any) -> None:
    out.write(json.dumps(payload) + "\n")
    out.flush()


def serve(spec: dict[str, Any], commands: TextIO, out: TextIO) -> int:
    """Build the form, then obey; returns the exit status."""
    from avs_ros.benchmarks.forms import StreamForm, make_form
    from avs_ros.benchmarks.subject import runners

    subject, device = Subject(**spec["subject"]), str(spec["device"])
    began = time.perf_counter()
    try:
        if spec["form"] == EXPORT:
            runners(subject, EXPORT_ENGINE, "cpu").close()
            _say(out, ready=True, load_s=time.perf_counter() - began, device=device)
            return 0
        form = make_form(str(spec["form"]), subject, device)
    except (AvsError, RuntimeError) as error:
        _say(out, error=str(error).splitlines()[0])
        return 2
    _say(out, ready=True, load_s=time.perf_counter() - began, device=form.device)
    loading_mib = peak_mib()
    # From here on only what steps need counts (and getrusage forgets with it).
    forget_peak()
    for line in commands:
        command = json.loads(line)
        if command["do"] == "memory":
            running_mib = recent_peak_mib()
            _say(
                out, peak_mib=max(loading_mib, peak_mib(), running_mib or 0.0),
                running_mib=running_mib, gpu_mib=gpu_peak_mib(device),
                states=len(form.memory) if isinstance(form, StreamForm) else None,
            )
            continue
        began = time.perf_counter()
        answer = form.step(int(command["number"]), command.get("stamp_ns"))
        ms = (time.perf_counter() - began) * 1e3
        if command.get("save"):
            np.save(command["save"], answer.logits)
        _say(out, ms=ms, label=answer.label)
    return 0


def main() -> int:
    """Keep stdout for answers alone: libraries may print what they like, to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return serve(json.loads(sys.argv[1]), sys.stdin, out)


if __name__ == "__main__":
    sys.exit(main())
