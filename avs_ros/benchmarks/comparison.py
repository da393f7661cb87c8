"""The published form against every engine: equal first, then timed, with memory of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from avs_ros.benchmarks.candidate import Candidate, Tell, export, loaded, step_ms
from avs_ros.benchmarks.forms import AUTHORS, AUTHORS_HALF, difference
from avs_ros.benchmarks.measuring import summarise, take_turns
from avs_ros.benchmarks.subject import StepOutput, Subject
from avs_ros.errors import EngineError
from avs_ros.inference.engines import ENGINES

# How many frames beyond the first window the forms must agree on.
_ROLLED = 1


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
        export(subject)
    chosen = {form: form for form in [reference, *needed]}
    with loaded(chosen, subject, device, tell) as (running, left_out):
        if reference in left_out:
            raise EngineError(left_out[reference])
        for form in chosen:
            results[form] = {"left_out": left_out[form]} if form in left_out else {
                "load_s": running[form].load_s, "device": running[form].device,
            }  # fmt: skip
        number = subject.frames_per_clip - 1 + _ROLLED
        for form, gap in _agreement(running, number, tell).items():
            results[form] |= {"difference": gap, "tolerance": tolerance(form)}
            if gap > tolerance(form):
                results[form]["left_out"] = (
                    f"differs from {description} by {gap:.2g} of the logits' standard "
                    f"deviation (tolerance {tolerance(form):g})"
                )
                running.pop(form).close()
        done = count(len(running))
        samples = take_turns(
            {form: step_ms(candidate, number + 1) for form, candidate in running.items()}, rounds,
            lambda: tell(f"timing, round {next(done) // len(running)} of {rounds}"),
        )
        for form, timing in summarise(samples, reference).items():
            results[form] |= {"ms": asdict(timing), "memory": dict(running[form].memory())}
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
