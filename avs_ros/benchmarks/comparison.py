"""The published form against every engine: equal first, then timed, with memory of each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from avs_ros.benchmarks.candidate import Candidate, export
from avs_ros.benchmarks.forms import AUTHORS, AUTHORS_HALF, difference
from avs_ros.benchmarks.measuring import summarise, take_turns
from avs_ros.benchmarks.subject import StepOutput, Subject
from avs_ros.errors import AvsError, EngineError
from avs_ros.inference.engines import ENGINES

# How many frames beyond the first window the forms must agree on.
_ROLLED = 1
Tell = Callable[[str], None]


def default_forms(device: str) -> list[str]:
    """The published form and each engine that runs on ``device`` by itself; on GPUs fp16 too."""
    kind = device.partition(":")[0]
    engines = [n for n, e in ENGINES.items() if kind in e.devices and e.automatic]
    halves = [AUTHORS_HALF] if kind == "cuda" else []
    return [AUTHORS, *halves, *engines]


def reference_of(subject: Subject) -> str:
    """What the others are held against: the published form, or PyTorch where there is none."""
    return "torch" if subject.avsc else AUTHORS


def tolerance(form: str) -> float:
    """Largest difference from the published form, as a share of the logits' deviation."""
    if form == AUTHORS_HALF:
        return 0.1
    return ENGINES[form].tolerance if form in ENGINES else 0.0


def compare(
    subject: Subject,
    device: str,
    forms: Sequence[str],
    rounds: int,
    tell: Tell = lambda description: None,
) -> dict[str, Any]:
    """Plain values: ``subject``, ``device``, and per form what was found.

    A form's entry holds ``ms`` (see :class:`Timing`), ``difference`` and ``tolerance``,
    ``memory`` and ``load_s``; or ``left_out``: the message that says why it was not timed.
    Raises EngineError where the reference (the published form, if there is one) cannot run.
    """
    results: dict[str, dict[str, Any]] = {}
    reference = reference_of(subject)
    description = "the published form" if reference == AUTHORS else reference
    published = (AUTHORS, AUTHORS_HALF) if subject.avsc else ()
    needed = [f for f in forms if f != reference and f not in published]
    if any("onnx" in f or f in ("openvino", "tensorrt") for f in needed):
        tell("exporting the step")
        export(subject)  # a failure is told again by each engine that needs the file
    with contextlib.ExitStack() as stack:
        running: dict[str, Candidate] = {}
        for form in [reference, *needed]:
            tell(f"loading {form}")
            candidate = stack.enter_context(contextlib.closing(Candidate(form, subject, device)))
            try:
                candidate.wait()
            except AvsError as error:
                if form == reference:
                    raise
                results[form] = {"left_out": str(error)}
                candidate.close()
                continue
            running[form] = candidate
            results[form] = {"load_s": candidate.load_s, "device": candidate.device}
        number = subject.frames_per_clip - 1 + _ROLLED
        for form, gap in _agreement(running, number, tell).items():
            results[form] |= {"difference": gap, "tolerance": tolerance(form)}
            if gap > tolerance(form):
                results[form]["left_out"] = (
                    f"differs from {description} by {gap:.2g} of the logits' standard "
                    f"deviation (tolerance {tolerance(form):g})"
                )
                running.pop(form).close()
        _time(running, reference, number + 1, rounds, results, tell)
    return {
        "subject": {**subject.values(), "name": subject.name}, "device": device,
        "rounds": rounds, "reference": reference, "forms": results,
    }


def _agreement(running: dict[str, Candidate], number: int, tell: Tell) -> dict[str, float]:
    """Serve frames 0 … ``number`` and compare the newest one's logits with the published form's.

    The published form has no memory: it is asked for the newest clip alone.
    """
    gaps = {}
    expected: StepOutput | None = None
    for form, candidate in running.items():
        tell(f"comparing {form}")
        if form != AUTHORS:
            for earlier in range(0 if form != AUTHORS_HALF else number, number):
                candidate.step(earlier)
        answer = StepOutput(*candidate.logits(number))
        if expected is None:
            expected = answer
        gaps[form] = difference(answer, expected)
    return gaps


def _time(
    running: dict[str, Candidate], reference: str, first: int, rounds: int,
    results: dict[str, dict[str, Any]], tell: Tell,
) -> None:
    if reference not in running:
        raise EngineError(f"{reference} does not run: there is nothing to compare with")

    def step_of(candidate: Candidate) -> Callable[[int], float]:
        return lambda turn: float(candidate.step(first + turn)["ms"])

    done = 0

    def note() -> None:
        nonlocal done
        done += 1
        tell(f"timing, round {1 + (done - 1) // len(running)} of {rounds}")

    samples = take_turns({f: step_of(c) for f, c in running.items()}, rounds, note)
    for form, timing in summarise(samples, reference).items():
        results[form]["ms"] = asdict(timing)
        results[form]["memory"] = dict(running[form].memory())
