"""The published form against every engine: equal first, then timed, with memory of each.

And how cost and memory grow with clip length T, resolution and frame rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import count
from typing import Any

import numpy as np

from avs_ros.benchmarks.candidate import Candidate, Tell, export, loaded, step_ms
from avs_ros.benchmarks.forms import AUTHORS, AUTHORS_HALF, difference
from avs_ros.benchmarks.measuring import listed_mib, summarise, take_turns
from avs_ros.benchmarks.subject import StepOutput, Subject
from avs_ros.inference.engines import ENGINES

# How many frames beyond the first window the forms must agree on.
_ROLLED = 1
CLIPS = (1, 2, 5, 10)
SIZES = (160, 224, 320, 448)
RATES_HZ = (1, 5, 10, 30)
# Of the memory that is free, at most this share may go into one affinity (it is needed twice).
_SHARE = 0.25


def default_forms(device: str) -> list[str]:
    """The published form and each engine that runs on ``device`` by itself; on GPUs fp16 too."""
    kind = device.partition(":")[0]
    engines = [n for n, e in ENGINES.items() if kind in e.devices and e.automatic]
    halves = [AUTHORS_HALF] if kind == "cuda" else []
    return [AUTHORS, *halves, *engines]


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
    Raises EngineError where the reference (the published form; PyTorch where there is none)
    cannot run.
    """
    results: dict[str, dict[str, Any]] = {}
    reference = "torch" if subject.bundled else AUTHORS
    description = "torch" if subject.bundled else "the published form"
    published = (AUTHORS, AUTHORS_HALF) if subject.bundled else ()
    needed = [f for f in forms if f != reference and f not in published]
    if any("onnx" in f or f in ("openvino", "tensorrt") for f in needed):
        tell("exporting the step")
        export(subject)
    chosen = {form: form for form in [reference, *needed]}
    with loaded(chosen, subject, device, tell, reference) as (running, left_out):
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
            results[form] |= {"ms": asdict(timing), "memory": running[form].memory()}
    return {
        "subject": {**asdict(subject), "name": subject.name}, "device": device,
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
        if form not in (AUTHORS, AUTHORS_HALF):
            for earlier in range(number):
                candidate.step(earlier)
        answer = candidate.logits(number)
        expected = expected or answer
        gaps[form] = difference(answer, expected)
    return gaps


def affinity_mib(subject: Subject) -> float:
    """MiB of TPAVI's affinity at stage 1 (stride 4), float32: (T h w)^2 numbers."""
    return (subject.frames_per_clip * (subject.image_size // 4) ** 2) ** 2 * 4 / 2**20


def measure_scaling(
    subject: Subject,
    engine: str,
    device: str,
    rounds: int,
    tell: Tell = lambda description: None,
) -> dict[str, Any]:
    """Plain values: lists ``clip``, ``size`` and ``rate`` of points.

    A point of the first two: ``value``, and per form ("authors", the engine) ``ms``,
    ``running_mib``, ``peak_mib``; or ``left_out``.  A point of ``rate``: ``value`` (Hz), ``ms``,
    ``state_kib`` kept of the past, ``load`` (share of the stream's time that is computed).
    """
    def point(axis: str, value: int, changed: Subject) -> dict[str, Any]:
        def told(description: str) -> None:
            tell(f"{axis} {value}: {description}")

        return {"value": value, **_point(changed, engine, device, rounds, told)}

    sizes = [s for s in SIZES if not (subject.visual.startswith("swin") and s % 224)]
    return {
        "engine": engine, "rounds": rounds,
        "clip": [point("clip", t, replace(subject, frames_per_clip=t)) for t in CLIPS],
        "size": [point("size", s, replace(subject, image_size=s)) for s in sizes],
        "rate": _rates(subject, engine, device, rounds, tell),
    }


def _point(
    subject: Subject, engine: str, device: str, rounds: int, tell: Tell
) -> dict[str, Any]:
    """Both forms of one subject, in turns."""
    found: dict[str, Any] = {}
    needed, free = affinity_mib(subject), listed_mib("meminfo", "MemAvailable")
    if free is not None and needed > _SHARE * free:
        found[AUTHORS] = {"left_out": f"its affinity alone needs {needed / 1024:.1f} GiB, twice; "
                                      f"{free / 1024:.1f} GiB are free"}
    first = subject.frames_per_clip - 1
    chosen = {form: form for form in (AUTHORS, engine) if form not in found}
    with loaded(chosen, subject, device, tell) as (running, left_out):
        found |= {form: {"left_out": why} for form, why in left_out.items()}
        for form, candidate in running.items():
            for number in range(first if form == AUTHORS else 0, first + 1):
                candidate.step(number)
        tell("timing")
        samples = take_turns({f: step_ms(c, first + 1) for f, c in running.items()}, rounds)
        for form, timing in summarise(samples, next(iter(samples))).items() if samples else ():
            memory = running[form].memory()
            found[form] = {
                "ms": asdict(timing), "running_mib": memory["running_mib"],
                "peak_mib": memory["peak_mib"],
            }
    return found


def _rates(
    subject: Subject, engine: str, device: str, rounds: int, tell: Tell
) -> list[dict[str, Any]]:
    """One stream per rate on the engine, all filled with T seconds of past, in turns."""
    points = []
    tell("frame rates")
    with loaded(dict.fromkeys(RATES_HZ, engine), subject, device, tell) as (running, left_out):
        if left_out:
            why = next(iter(left_out.values()))
            return [{"value": rate, "left_out": why} for rate in RATES_HZ]
        steps = {}
        for rate, candidate in running.items():
            tell(f"frame rate {rate} Hz: filling the past")
            filled = rate * (subject.frames_per_clip - 1) + 1
            for turn in range(filled):
                step_ms(candidate, 0, rate)(turn)
            steps[str(rate)] = step_ms(candidate, filled, rate)
        tell("frame rates: timing")
        samples = take_turns(steps, rounds)
        for rate, candidate in running.items():
            states = int(candidate.memory()["states"])
            median = float(np.median(samples[str(rate)]))
            points.append({
                "value": rate, "ms": {"median": median, "samples": samples[str(rate)]},
                "states": states, "load": median * 1e-3 * rate,
                "state_kib": states * candidate.state_bytes / 1024,
            })
    return points
