"""Engines by name, and ``auto``: the fastest that gives the right numbers on this machine."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from avs_ros.errors import AvsError, EngineError, MissingDependencyError
from avs_ros.inference.engines.cache import cached_path
from avs_ros.inference.engines.program import StepProgram, StepRunner
from avs_ros.inference.engines.self_check import require_agreement

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """``runner``: module and class.  ``tolerance``: relative, against eager float32 PyTorch.

    ``devices``: kinds it runs on.  ``requires``: distribution it needs, "" for none.
    ``automatic``: whether ``auto`` may choose it (those that take minutes to build may not).
    """

    runner: str
    tolerance: float
    devices: tuple[str, ...]
    words: str
    requires: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    automatic: bool = True


_PACKAGE = "avs_ros.inference.engines."
ENGINES: dict[str, Engine] = {
    "torch": Engine(
        _PACKAGE + "torch_eager:TorchRunner", 1e-3, ("cpu", "cuda"), "eager PyTorch, float32"
    ),
    "onnxruntime": Engine(
        _PACKAGE + "onnx_runtime:OnnxRuntimeRunner",
        1e-3,
        ("cpu", "cuda"),
        "ONNX Runtime, float32",
        requires="onnxruntime",
    ),
    "openvino": Engine(
        _PACKAGE + "openvino:OpenVinoRunner",
        1e-3,
        ("cpu",),
        "OpenVINO, float32",
        requires="openvino",
    ),
    "cuda-graph": Engine(
        _PACKAGE + "cuda_graph:CudaGraphRunner",
        3e-2,
        ("cuda",),
        "the whole step as one CUDA graph, float16 with float32 islands",
    ),
    "cuda-graph-fp32": Engine(
        _PACKAGE + "cuda_graph:CudaGraphRunner",
        1e-3,
        ("cuda",),
        "the whole step as one CUDA graph, float32",
        options={"half": False},
    ),
    "tensorrt": Engine(
        _PACKAGE + "tensorrt:TensorRtRunner",
        3e-2,
        ("cuda",),
        "TensorRT, float16 with float32 islands",
        requires="tensorrt",
        automatic=False,
    ),
    "onnxruntime-tensorrt": Engine(
        _PACKAGE + "onnx_runtime:OnnxRuntimeRunner",
        1e-3,
        ("cuda",),
        "ONNX Runtime's TensorRT provider, float32",
        requires="onnxruntime-gpu",
        options={"provider": "tensorrt"},
        automatic=False,
    ),
}
AUTO = "auto"
_MEASURED_STEPS = 5


def choose_device(device: str) -> str:
    """Turn "auto" into "cuda" where PyTorch sees a GPU, else "cpu"; others are checked.

    Raises EngineError for a device that is not there.
    """
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise EngineError(f"unknown device {device!r}; known: auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise EngineError(f"device {device} is not there: PyTorch sees {count} GPUs; use cpu")
    return device


def build_runner(program: StepProgram, engine: str, device: str) -> StepRunner:
    """``program`` on ``engine``, checked against eager PyTorch.

    ``device``: from :func:`choose_device`.  Raises EngineError for an unknown engine, one that
    does not run on the device, or one whose numbers differ by more than it states;
    MissingDependencyError for one that is not installed.
    """
    if engine == AUTO:
        return _fastest(program, device)
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; known: {AUTO}, {', '.join(ENGINES)}")
    entry = ENGINES[engine]
    if device.partition(":")[0] not in entry.devices:
        raise EngineError(f"engine {engine} runs on {' or '.join(entry.devices)}, not on {device}")
    module, name = entry.runner.split(":")
    runner: StepRunner = getattr(importlib.import_module(module), name)(
        program, device, **entry.options
    )
    runner.engine = engine
    if engine == "torch" and device == "cpu":
        return runner  # it is what the others are compared with
    try:
        worst = require_agreement(program, runner, entry.tolerance)
    except BaseException:
        runner.close()
        raise
    _log.info("%s on %s: within %.1g of eager PyTorch", engine, runner.device, worst)
    return runner


def step_ms(program: StepProgram, runner: StepRunner, steps: int = _MEASURED_STEPS) -> float:
    """Median milliseconds per step on the program's fixed input."""
    runner(*program.example)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        runner(*program.example)
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def _fastest(program: StepProgram, device: str) -> StepRunner:
    note = cached_path(program, f"_fastest_{_machine(device)}.txt")
    if note.is_file():
        known = note.read_text(encoding="utf-8").strip()
        try:
            return build_runner(program, known, device)
        except AvsError as error:
            _log.warning("%s", error)
    best, best_ms = build_runner(program, "torch", device), float("inf")
    best_ms = step_ms(program, best)
    for name, entry in ENGINES.items():
        kind = device.partition(":")[0]
        if name == "torch" or not entry.automatic or kind not in entry.devices:
            continue
        try:
            runner = build_runner(program, name, device)
        except MissingDependencyError as error:
            _log.info("%s", error)
            continue
        except (AvsError, RuntimeError) as error:
            _log.warning("engine %s is left out: %s", name, error)
            continue
        ms = step_ms(program, runner)
        _log.info("%s on %s: %.1f ms per step", name, device, ms)
        if ms < best_ms:
            best.close()
            best, best_ms = runner, ms
        else:
            runner.close()
    note.write_text(best.engine, encoding="utf-8")
    return best


def _machine(device: str) -> str:
    """Short name of what a measured decision holds for: device, cores, library versions."""
    parts = [device, str(os.cpu_count()), torch.__version__]
    if device.startswith("cuda"):
        parts.append(torch.cuda.get_device_name(torch.device(device)))
    for entry in ENGINES.values():
        if entry.requires:
            try:
                parts.append(f"{entry.requires}{importlib.metadata.version(entry.requires)}")
            except importlib.metadata.PackageNotFoundError:
                continue
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
