"""A model's step on an engine: does it agree, how long does it take, what does it hold."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from avs_ros.benchmarks.measuring import peak_mib
from avs_ros.benchmarks.networks import bundle
from avs_ros.benchmarks.subject import AVSC, LIGHT, SceneStream, Subject
from avs_ros.errors import AvsError, MissingDependencyError
from avs_ros.inference.bundle import Bundle
from avs_ros.inference.class_affinity import ClassAffinity
from avs_ros.inference.engines import ENGINES, StepRunner, build_runner
from avs_ros.inference.engines.prepared import Array, Results, difference
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.frames import FramePreparation, WholePreparation
from avs_ros.sound import SAMPLE_RATE

# The bundled weights where there are any; the paper's networks with random ones.
SUBJECTS = {
    LIGHT: Subject(LIGHT),
    AVSC: Subject(AVSC),
    "c3n_pvt_panns": Subject("pvt_v2_b5", "panns"),
    "c3n_swin_beats": Subject("swin_base_patch4_window7_224", "beats"),
}
# Small enough to try the tool itself on a CPU.
SMALL = {
    LIGHT: Subject(LIGHT),
    AVSC: Subject(AVSC),
    "c3n_pvt_panns": Subject("pvt_v2_b0", "efficientat_mn04", 2, 64, 16),
}
# Largest difference from eager float32 PyTorch on the CPU that full precision may show here: ten
# times less than an engine is refused for.
EXACT = 1e-4
_WARM_UP, _SCENES, _PROFILED, _LARGEST, _ROUNDINGS = 3, 5, 10, 12, 4


def load(subject: Subject, name: str) -> Bundle:
    """The subject's steps in PyTorch."""
    return bundle(subject, name)


def scene_inputs(steps: Bundle, count: int = _SCENES) -> list[tuple[Array, ...]]:
    """What a step gets of the demo's scene: real photographs and sounds, no past yet.

    Inputs that the scene says nothing about keep their fixed values.
    """
    see, hear, metadata = steps.visual, steps.audio, steps.metadata
    assert isinstance(see, StepProgram) and isinstance(hear, StepProgram)
    scene = SceneStream()
    prepare = FramePreparation(
        metadata["image_size"], metadata["image_mean"], metadata["image_std"], cv2.INTER_AREA
    )
    families = ClassAffinity(metadata["affinity"]) if "heard" in see.inputs else None
    found = []
    for number in range(count):
        values = dict(zip(see.inputs, see.example, strict=True))
        if "frame" in values:
            values["frame"] = prepare(scene.frame(number)).copy()
        if "whole" in values:
            whole = WholePreparation(
                see.inputs["whole"][-1], metadata["image_mean"], metadata["image_std"]
            )
            values["whole"] = whole(scene.frame(number))[0]
        if "audio_logits" in values:
            window = scene.sound(number * SAMPLE_RATE // 2, SAMPLE_RATE)
            feature, logits = hear.run_eagerly([window[None]])
            values["audio_feature"] = np.asarray(feature, np.float32)
            values["audio_logits"] = np.asarray(logits, np.float32)
            if families is not None:
                values["heard"] = np.asarray(families(logits[0])[None], np.float32)
        found.append(tuple(np.asarray(values[name], np.float32) for name in see.inputs))
    return found


def check_engine(
    program: StepProgram,
    engine: str,
    device: str,
    scenes: Sequence[tuple[Array, ...]],
    seconds: float,
) -> dict[str, Any]:
    """Build ``program`` on ``engine`` and look at it; plain values.

    ``status``: "agrees", "differs" (labels too), "absent" (not installed) or "refused" with
    ``reason``.  ``difference``: on the fixed input; ``scene_difference``: the largest on the
    scene, relative; ``tolerance``.  Where full precision is beyond it, ``rounding``: see
    :func:`own_rounding`; twice that is no fault of the engine.  ``p50_ms``, ``p99_ms``: of a step
    at batch 1, copies included, over at least ``seconds``.
    """
    began = time.perf_counter()
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(torch.device(device))
    try:
        runner = build_runner(program, engine, device)
    except MissingDependencyError as error:
        return {"status": "absent", "reason": str(error)}
    except (AvsError, RuntimeError, AttributeError, ImportError) as error:
        return {"status": "refused", "reason": str(error).splitlines()[0]}
    try:
        stated = ENGINES[engine].tolerance
        allowed = EXACT if stated <= 1e-3 else stated
        found: dict[str, Any] = {
            "build_s": round(time.perf_counter() - began, 2),
            "tolerance": allowed,
            "difference": difference(program, runner)[0],
            "scene_difference": max(
                difference(program, runner, x, program.run_eagerly(x))[0] for x in scenes
            ),
        }
        worst = max(found["difference"], found["scene_difference"])
        if allowed == EXACT < worst:
            found["rounding"] = own_rounding(program, scenes)
            allowed = max(allowed, 2 * found["rounding"])
        found["status"] = "agrees" if worst <= allowed else "differs"
        found |= _latency(program, runner, seconds) | _copies(program, runner, device)
        return found | _memory(device)
    finally:
        runner.close()


def own_rounding(program: StepProgram, scenes: Sequence[tuple[Array, ...]]) -> float:
    """How far the model's answers move when the last bits of its weights do, on the CPU.

    The consensus map's gradient passes a unit or does not: one whose value lies at the bound
    turns with any rounding, and no engine can tell which side is right.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for _ in range(_ROUNDINGS):
        module = copy.deepcopy(program.module)
        moved = replace(program, module=module)
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_floating_point():
                    tensor *= 1 + 2.0**-22 * torch.randn(tensor.shape, generator=generator)
        for inputs in (program.example, *scenes):
            answers = program.run_eagerly(inputs)
            gap = difference(program, _Eager(moved), inputs, answers)[0]
            worst = max(worst, gap)
    return worst


@dataclass
class _Eager:
    """The program itself as a runner."""

    program: StepProgram
    engine: str = "torch"
    device: str = "cpu"

    def __call__(self, *inputs: Array) -> Results:
        return self.program.run_eagerly(inputs)

    def close(self) -> None:
        pass


def _latency(program: StepProgram, runner: StepRunner, seconds: float) -> dict[str, float]:
    for _ in range(_WARM_UP):
        runner(*program.example)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 10 or time.perf_counter() - began < seconds:
        at = time.perf_counter()
        runner(*program.example)
        times.append((time.perf_counter() - at) * 1e3)
    p50, p99 = np.percentile(times, (50, 99))
    return {"p50_ms": float(p50), "p99_ms": float(p99), "steps": len(times)}


def _copies(program: StepProgram, runner: StepRunner, device: str) -> dict[str, Any]:
    """Share of the GPU's busy time that is copies between host and GPU, and its largest kernels.

    ``largest``: name, microseconds and launches per step.
    """
    if not device.startswith("cuda"):
        return {}
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(_PROFILED):
            runner(*program.example)
    events = profiler.key_averages()
    copies = [e for e in events if e.key.lower().startswith(("memcpy", "memset"))]
    busy_us, copies_us = (sum(map(_device_us, part)) for part in (events, copies))
    return {
        "copies_share": copies_us / busy_us if busy_us else float("nan"),
        "gpu_busy_ms": busy_us / 1e3 / _PROFILED,
        "kernels": (sum(e.count for e in events) - sum(e.count for e in copies)) / _PROFILED,
        "largest": [
            {
                "kernel": event.key[:100], "us": _device_us(event) / _PROFILED,
                "launches": event.count / _PROFILED,
            }
            for event in sorted(events, key=_device_us, reverse=True)[:_LARGEST]
        ],
    }


def _device_us(event: Any) -> float:
    """Time on the device; PyTorch before 2.4 calls it CUDA time."""
    known = getattr(event, "self_device_time_total", None)
    return float(event.self_cuda_time_total if known is None else known)


def _memory(device: str) -> dict[str, float]:
    if not device.startswith("cuda"):
        return {"host_peak_mib": peak_mib()}
    import torch

    free, total = torch.cuda.mem_get_info(torch.device(device))
    return {
        "gpu_used_mib": (total - free) / 2**20,
        "torch_peak_mib": torch.cuda.max_memory_allocated(torch.device(device)) / 2**20,
        "host_peak_mib": peak_mib(),
    }


def soak(
    program: StepProgram,
    engine: str,
    device: str,
    scenes: Sequence[tuple[Array, ...]],
    seconds: float,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The step without a pause for ``seconds``: whether it slows down, or changes its answers.

    ``changed``: steps whose answer differs from the first one to the same input by more than the
    engine's tolerance; ``windows``: median and largest ms of each tenth; memory before and after.
    """
    runner = build_runner(program, engine, device)
    try:
        inputs = [program.example, *scenes]
        first = [[np.array(x) for x in runner(*one)] for one in inputs]
        before, changed, steps = _memory(device), 0, 0
        windows: list[dict[str, float]] = []
        tolerance = ENGINES[engine].tolerance
        for part in range(10):
            times: list[float] = []
            until = time.perf_counter() + seconds / 10
            while not times or time.perf_counter() < until:
                at = time.perf_counter()
                found = runner(*inputs[steps % len(inputs)])
                times.append((time.perf_counter() - at) * 1e3)
                expected = first[steps % len(inputs)]
                changed += not all(
                    np.allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max()))
                    for a, b in zip(found, expected, strict=True)
                )
                steps += 1
            windows.append({"p50_ms": float(np.median(times)), "max_ms": max(times)})
            tell(f"{part + 1}0 % of the soak: {windows[-1]['p50_ms']:.2f} ms")
        return {
            "engine": engine, "seconds": seconds, "steps": steps, "changed": changed,
            "windows": windows, "before": before, "after": _memory(device),
            "status": "agrees" if not changed else "differs",
        }  # fmt: skip
    finally:
        runner.close()
