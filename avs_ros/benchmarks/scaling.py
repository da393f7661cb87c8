"""How cost and memory grow with clip length T, resolution and frame rate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from avs_ros.benchmarks.candidate import Candidate
from avs_ros.benchmarks.forms import AUTHORS, SECOND_NS
from avs_ros.benchmarks.measuring import available_mib, summarise, take_turns
from avs_ros.benchmarks.subject import Subject
from avs_ros.errors import AvsError

CLIPS = (1, 2, 5, 10)
SIZES = (160, 224, 320, 448)
RATES_HZ = (1, 5, 10, 30)
# Of the memory that is free, at most this share may go into one affinity (it is needed twice).
_SHARE = 0.25
_STATE_BYTES = 4

Tell = Callable[[str], None]


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
            _point(value, variant, forms, device, rounds, partial(_tell_axis, tell, axis))
            for value, variant in points
        ]
    found["rate"] = _rates(subject, engine, device, rounds, rates_hz, tell)
    return found


def _tell_axis(tell: Tell, axis: str, description: str) -> None:
    tell(f"{axis} {description}")


def _point(
    value: int, subject: Subject, forms: Sequence[str], device: str, rounds: int, tell: Tell
) -> dict[str, Any]:
    """Both forms of one subject, in turns."""
    point: dict[str, Any] = {"value": value}
    with contextlib.ExitStack() as stack:
        running = {}
        for form in forms:
            if form == AUTHORS and (why := _too_large(subject)):
                point[form] = {"left_out": why}
                continue
            tell(f"{value}: loading {form}")
            candidate = stack.enter_context(contextlib.closing(Candidate(form, subject, device)))
            try:
                candidate.wait()
            except AvsError as error:
                point[form] = {"left_out": str(error)}
                continue
            running[form] = candidate
        first = subject.frames_per_clip - 1
        for form, candidate in running.items():
            for number in range(first if form == AUTHORS else 0, first + 1):
                candidate.step(number)
        tell(f"{value}: timing")

        def step_of(candidate: Candidate) -> Callable[[int], float]:
            return lambda turn: float(candidate.step(first + 1 + turn)["ms"])

        samples = take_turns({f: step_of(c) for f, c in running.items()}, rounds)
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
    with contextlib.ExitStack() as stack:
        running: dict[int, Candidate] = {}
        for rate in rates_hz:
            candidate = stack.enter_context(contextlib.closing(Candidate(engine, subject, device)))
            try:
                candidate.wait()
            except AvsError as error:
                return [{"value": rate, "left_out": str(error)} for rate in rates_hz]
            running[rate] = candidate
        filled = {rate: rate * (subject.frames_per_clip - 1) + 1 for rate in rates_hz}
        for rate, candidate in running.items():
            tell(f"frame rate {rate} Hz: filling the past")
            for number in range(filled[rate]):
                candidate.step(number, (number + 1) * SECOND_NS // rate)

        def step_of(rate: int) -> Callable[[int], float]:
            def step(turn: int) -> float:
                number = filled[rate] + turn
                return float(running[rate].step(number, (number + 1) * SECOND_NS // rate)["ms"])

            return step

        tell("frame rates: timing")
        samples = take_turns({str(rate): step_of(rate) for rate in rates_hz}, rounds)
        for rate in rates_hz:
            states = int(running[rate].memory()["states"])
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
