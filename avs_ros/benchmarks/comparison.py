"""The published form against every engine: equal first, then timed, with memory of each.

And how cost and memory grow with clip length T, resolution and frame rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

import numpy as np

from avs_ros.benchmarks.candidate import Candidate, Tell, export, loaded, step_ms
from avs_ros.benchmarks.forms import AUTHORS, AUTHORS_HALF, difference
from avs_ros.benchmarks.measuring import available_mib, summarise, take_turns
from avs_ros.benchmarks.subject import StepOutput, Subject
from avs_ros.inference.engines import ENGINES

# How many frames beyond the first window the forms must agree on.
_ROLLED = 1
CLIPS = (1, 2, 5, 10)
SIZES = (160, 224, 320, 448)
RATES_HZ = (1, 5, 10, 30)
# Of the memory that is free, at most this share may go into one affinity (it is needed twice).
_SHARE = 0.25
_STATE_BYTES = 4


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


def affinity_mib(frames_per_clip: int, image_size: int) -> float:
    """MiB of TPAVI's affinity at stage 1 (stride 4), float32: (T h w)^2 numbers."""
    return (frames_per_clip * (image_size // 4) ** 2) ** 2 * 4 / 2**20


def measure_scaling(
    subject: Subject,
    engine: str,
    device: str,
    rounds: int,
    tell: Tell = lambda description: None,
    clips: Sequence[int] = CLIPS,
    sizes: Sequence[int] = SIZES,
    rates_hz: Sequence[int] = RATES_HZ,
) -> dict[str, Any]:
    """Plain values: lists ``clip``, ``size`` and ``rate`` of points.

    A point of the first two: ``value``, and per form ("authors", the engine) ``ms``,
    ``running_mib``, ``peak_mib``; or ``left_out``.  A point of ``rate``: ``value`` (Hz), ``ms``,
    ``state_kib`` kept of the past, ``load`` (share of the stream's time that is computed).
    """
    forms = (AUTHORS, engine)
    found: dict[str, Any] = {"engine": engine, "rounds": rounds}
    variants = {
        "clip": [(t, subject.with_(frames_per_clip=t)) for t in clips],
        "size": [
            (s, subject.with_(image_size=s)) for s in sizes
            if not (subject.visual.startswith("swin") and s % 224)
        ],
    }
    for axis, points in variants.items():
        found[axis] = [
            _point(f"{axis} {value}", value, variant, forms, device, rounds, tell)
            for value, variant in points
        ]
    found["rate"] = _rates(subject, engine, device, rounds, rates_hz, tell)
    return found


def _point(
    told_as: str, value: int, subject: Subject, forms: Sequence[str], device: str, rounds: int,
    tell: Tell,
) -> dict[str, Any]:
    """Both forms of one subject, in turns."""
    point: dict[str, Any] = {"value": value}
    if why := _too_large(subject):
        point[AUTHORS] = {"left_out": why}
    first = subject.frames_per_clip - 1
    chosen = {form: form for form in forms if form not in point}
    with loaded(chosen, subject, device, lambda told: tell(f"{told_as}: {told}")) as (
        running, left_out,
    ):  # fmt: skip
        point |= {form: {"left_out": why} for form, why in left_out.items()}
        for form, candidate in running.items():
            for number in range(first if form == AUTHORS else 0, first + 1):
                candidate.step(number)
        tell(f"{told_as}: timing")
        samples = take_turns({f: step_ms(c, first + 1) for f, c in running.items()}, rounds)
        for form, timing in summarise(samples, next(iter(samples))).items() if samples else ():
            memory = running[form].memory()
            point[form] = {
                "ms": asdict(timing), "running_mib": memory["running_mib"],
                "peak_mib": memory["peak_mib"],
            }
    return point


def _rates(
    subject: Subject, engine: str, device: str, rounds: int, rates_hz: Sequence[int], tell: Tell
) -> list[dict[str, Any]]:
    """One stream per rate on the engine, all filled with T seconds of past, in turns."""
    points = []
    tell("frame rates")
    with loaded(dict.fromkeys(rates_hz, engine), subject, device, tell) as (running, left_out):
        if left_out:
            why = next(iter(left_out.values()))
            return [{"value": rate, "left_out": why} for rate in rates_hz]
        filled = {rate: rate * (subject.frames_per_clip - 1) + 1 for rate in rates_hz}
        for rate, candidate in running.items():
            tell(f"frame rate {rate} Hz: filling the past")
            step = step_ms(candidate, 0, rate)
            for number in range(filled[rate]):
                step(number)
        tell("frame rates: timing")
        steps = {str(rate): step_ms(c, filled[rate], rate) for rate, c in running.items()}
        samples = take_turns(steps, rounds)
        for rate, candidate in running.items():
            states = int(candidate.memory()["states"])
            median = float(np.median(samples[str(rate)]))
            points.append({
                "value": rate, "ms": {"median": median, "samples": samples[str(rate)]},
                "states": states, "load": median * 1e-3 * rate,
                "state_kib": states * 4 * (2 * _width(subject) + 1) * _STATE_BYTES / 1024,
            })
    return points


def _width(subject: Subject) -> int:
    """Channels of the fusion part."""
    if not subject.light:
        return subject.channels
    from avs_ros.benchmarks.networks import build
    from avs_ros.models.light.network import LightC3N

    network = build(subject).network
    return network.c3n.channels if isinstance(network, LightC3N) else subject.channels


def _too_large(subject: Subject) -> str:
    needed = affinity_mib(subject.frames_per_clip, subject.image_size)
    free = available_mib()
    if free is None or needed <= _SHARE * free:
        return ""
    return (
        f"its affinity alone needs {needed / 1024:.1f} GiB, twice; {free / 1024:.1f} GiB are free"
    )
