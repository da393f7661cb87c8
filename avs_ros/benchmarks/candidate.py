"""A form in a process of its own.

It gives each form its own peak of memory, and keeps the thread pools of the libraries apart.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from avs_ros.benchmarks.measuring import forget_peak, gpu_peak_mib, peak_mib, recent_peak_mib
from avs_ros.benchmarks.subject import Subject, runners
from avs_ros.errors import AvsError, EngineError

if TYPE_CHECKING:
    from avs_ros.benchmarks.forms import Form

# As a form: make the exported file that engines share.
EXPORT = "export"
# Opening a subject on any engine that runs exported files makes them.
EXPORT_ENGINE = "onnxruntime"
SECOND_NS = 1_000_000_000
_LAST_LINES = 8

K = TypeVar("K", bound=Hashable)
Tell = Callable[[str], None]


class Candidate:
    """One form, loaded and waiting: while others are measured it does nothing."""

    def __init__(self, form: str, subject: Subject, device: str = "cpu") -> None:
        """Start the process; :meth:`wait` until it is loaded before the first step."""
        self.form, self.subject, self.device = form, subject, device
        self.load_s = float("nan")
        self._said = tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = ProcessPoolExecutor(1, get_context("spawn"))
        self._loading = self._process.submit(_load, self._said.name, form, subject, device)

    def wait(self) -> None:
        """Until it is loaded; raises EngineError with its reason where it cannot serve."""
        self.load_s, self.device = self._answer(self._loading)

    def step(self, number: int, stamp_ns: int | None = None) -> Mapping[str, Any]:
        """One frame: ``ms`` it took and its ``label``."""
        found: Mapping[str, Any] = self._answer(self._process.submit(_step, number, stamp_ns))
        return found

    def logits(self, number: int) -> tuple[np.ndarray[Any, Any], int]:
        """Serve frame ``number`` and hand over its mask logits and label."""
        answer = self._answer(self._process.submit(_step, number, None, True))
        return answer["logits"], answer["label"]

    def memory(self) -> Mapping[str, Any]:
        """``peak_mib``, ``running_mib``, ``gpu_mib`` (see ``measuring``), ``states`` kept."""
        found: Mapping[str, Any] = self._answer(self._process.submit(_memory))
        return found

    def close(self) -> None:
        """End the process."""
        self._process.shutdown(cancel_futures=True)
        self._said.close()

    def _answer(self, asked: Future[Any]) -> Any:
        try:
            return asked.result()
        except BrokenExecutor as error:
            self._said.seek(0)
            said = " / ".join(self._said.read().splitlines()[-_LAST_LINES:])
            raise EngineError(
                f"the process of {self.form} has ended (out of memory?): {said}"
            ) from error


@contextmanager
def loaded(
    forms: Mapping[K, str], subject: Subject, device: str, tell: Tell
) -> Iterator[tuple[dict[K, Candidate], dict[K, str]]]:
    """Forms by their keys, each in its process, and the reasons of those that cannot serve."""
    with ExitStack() as stack:
        running: dict[K, Candidate] = {}
        left_out: dict[K, str] = {}
        for key, form in forms.items():
            tell(f"loading {form}")
            candidate = stack.enter_context(closing(Candidate(form, subject, device)))
            try:
                candidate.wait()
            except AvsError as error:
                left_out[key] = str(error)
                candidate.close()
            else:
                running[key] = candidate
        yield running, left_out


def step_ms(candidate: Candidate, first: int, rate_hz: int = 1) -> Callable[[int], float]:
    """Turn n -> milliseconds of the frame ``first + n`` of a stream at ``rate_hz``."""

    def step(turn: int) -> float:
        number = first + turn
        return float(candidate.step(number, (number + 1) * SECOND_NS // rate_hz)["ms"])

    return step


def export(subject: Subject) -> None:
    """Make the exported file that engines share, so that none is charged for it.

    Where that fails, each engine that needs the file tells the reason.
    """
    with loaded({EXPORT: EXPORT}, subject, "cpu", lambda description: None):
        pass


# What follows runs in the form's process: the form, its device, the peak of memory at loading.
_served: tuple[Form, str, float]


def _load(log: str, name: str, subject: Subject, device: str) -> tuple[float, str]:
    """Build the form; the seconds that took, and the device in words."""
    from avs_ros.benchmarks.forms import make_form

    global _served
    # Libraries may print what they like: it is told where they fail.
    with open(log, "a", encoding="utf-8") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    began = time.perf_counter()
    try:
        if name == EXPORT:
            runners(subject, EXPORT_ENGINE, "cpu").close()
            return time.perf_counter() - began, device
        form = make_form(name, subject, device)
    except (AvsError, RuntimeError) as error:
        raise EngineError(str(error).splitlines()[0]) from None
    load_s = time.perf_counter() - began
    _served = form, device, peak_mib()
    # From here on only what steps need counts (and getrusage forgets with it).
    forget_peak()
    return load_s, form.device


def _step(number: int, stamp_ns: int | None, logits: bool = False) -> dict[str, Any]:
    began = time.perf_counter()
    answer = _served[0].step(number, stamp_ns)
    ms = (time.perf_counter() - began) * 1e3
    return {"ms": ms, "label": answer.label, **({"logits": answer.logits} if logits else {})}


def _memory() -> dict[str, Any]:
    form, device, loading_mib = _served
    running_mib = recent_peak_mib()
    return {
        "peak_mib": max(loading_mib, peak_mib(), running_mib or 0.0),
        "running_mib": running_mib, "gpu_mib": gpu_peak_mib(device),
        "states": len(form.memory) if hasattr(form, "memory") else None,
    }  # fmt: skip
