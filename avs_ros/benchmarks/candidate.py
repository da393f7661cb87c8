"""A form in a process of its own.

It gives each form its own peak of memory, and keeps the thread pools of the libraries apart.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from avs_ros.benchmarks.measuring import forget_peak, gpu_peak_mib, listed_mib, peak_mib
from avs_ros.benchmarks.subject import SECOND_NS, StepOutput, Subject, runners
from avs_ros.errors import AvsError, EngineError

# As a form: make the exported file that engines share.
EXPORT = "export"
_LAST_LINES = 8
_END_S = 10.0

K = TypeVar("K", bound=Hashable)
Tell = Callable[[str], None]


class Candidate:
    """One form, loaded and waiting: while others are measured it does nothing."""

    def __init__(self, form: str, subject: Subject, device: str) -> None:
        """Start the process; :meth:`wait` until it is loaded before the first step."""
        self.form = form
        self._said = tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        context = get_context("spawn")
        self._near, far = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(far, self._said.name, form, subject, device), daemon=True
        )
        self._process.start()
        far.close()

    def wait(self) -> None:
        """Until it is loaded; raises EngineError with its reason where it cannot serve.

        Then ``load_s``, ``device`` and ``state_bytes`` (of one state kept) are known.
        """
        self.load_s, self.device, self.state_bytes = self._ask()

    def step(self, number: int, stamp_ns: int | None = None) -> float:
        """Serve frame ``number``; the milliseconds that it took."""
        return float(self._ask("step", number, stamp_ns)[0])

    def logits(self, number: int) -> StepOutput:
        """Serve frame ``number`` and hand over its mask logits and label."""
        answer: StepOutput = self._ask("logits", number, None)[1]
        return answer

    def memory(self) -> dict[str, Any]:
        """``peak_mib``, ``running_mib``, ``gpu_mib`` (see ``measuring``), ``states`` kept."""
        return dict(self._ask("memory"))

    def close(self) -> None:
        """End the process."""
        self._near.close()
        self._process.join(_END_S)
        self._process.kill()
        self._said.close()

    def _ask(self, *command: Any) -> Any:
        """The answer to ``command``; the first one comes unasked."""
        try:
            if command:
                self._near.send(command)
            answer = self._near.recv()
        except (EOFError, OSError) as error:
            self._process.join(_END_S)
            status = self._process.exitcode
            self._said.seek(0)
            lines = " / ".join(self._said.read().splitlines()[-_LAST_LINES:])
            why = " (out of memory?)" if status == -9 else ""
            raise EngineError(
                f"the process of {self.form} has ended, status {status}{why}: {lines}"
            ) from error
        if isinstance(answer, str):
            raise EngineError(answer)
        return answer


@contextmanager
def loaded(
    forms: Mapping[K, str], subject: Subject, device: str, tell: Tell, needed: K | None = None
) -> Iterator[tuple[dict[K, Candidate], dict[K, str]]]:
    """Forms by their keys, each in its process, and the reasons of those that cannot serve.

    Raises AvsError where ``needed`` cannot.
    """
    with ExitStack() as stack:
        running: dict[K, Candidate] = {}
        left_out: dict[K, str] = {}
        for key, form in forms.items():
            tell(f"loading {form}")
            candidate = stack.enter_context(closing(Candidate(form, subject, device)))
            try:
                candidate.wait()
            except AvsError as error:
                if key == needed:
                    raise
                left_out[key] = str(error)
                candidate.close()
            else:
                running[key] = candidate
        yield running, left_out


def step_ms(candidate: Candidate, first: int, rate_hz: int = 1) -> Callable[[int], float]:
    """Turn n -> milliseconds of the frame ``first + n`` of a stream at ``rate_hz``."""
    return lambda turn: candidate.step(first + turn, (first + turn + 1) * SECOND_NS // rate_hz)


def export(subject: Subject) -> None:
    """Make the exported file that engines share, so that none is charged for it.

    Where that fails, each engine that needs the file tells the reason.
    """
    with loaded({EXPORT: EXPORT}, subject, "cpu", lambda description: None):
        pass


def _serve(near: Connection, log: str, name: str, subject: Subject, device: str) -> None:
    """Build the form, then obey until the other end is closed."""
    from avs_ros.benchmarks.forms import StreamForm, make_form

    # Libraries may print what they like: it is told where they fail.
    with open(log, "a", encoding="utf-8") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    began = time.perf_counter()
    try:
        if name == EXPORT:
            # Opening a subject on any engine that runs exported files makes them.
            runners(subject, "onnxruntime", "cpu").close()
            near.send((time.perf_counter() - began, device, 0))
            return
        form = make_form(name, subject, device)
    except (AvsError, RuntimeError) as error:
        near.send(str(error).splitlines()[0])
        return
    stream = form if isinstance(form, StreamForm) else None
    state_bytes = 0 if stream is None else stream.state_bytes
    near.send((time.perf_counter() - began, form.device, state_bytes))
    loading_mib = peak_mib()
    # From here on only what steps need counts (and getrusage forgets with it).
    forget_peak()
    while True:
        try:
            do, *frame = near.recv()
        except EOFError:
            return
        if do == "memory":
            running_mib = listed_mib("self/status", "VmHWM")
            near.send({
                "peak_mib": max(loading_mib, peak_mib(), running_mib or 0.0),
                "running_mib": running_mib, "gpu_mib": gpu_peak_mib(device),
                "states": None if stream is None else len(stream.memory),
            })  # fmt: skip
            continue
        began = time.perf_counter()
        answer = form.step(*frame)
        ms = (time.perf_counter() - began) * 1e3
        near.send((ms, answer if do == "logits" else None))
