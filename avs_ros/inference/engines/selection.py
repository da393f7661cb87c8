"""Engines by name, and ``auto``: the fastest that gives the right numbers on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avs_ros.errors import AvsError, EngineError, MissingDependencyError
from avs_ros.inference.engines.prepared import (
    PreparedStep,
    Step,
    StepRunner,
    cached_path,
    require_agreement,
)
from avs_ros.inference.engines.threads import computing_threads

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """``runner``: module and class.  ``tolerance``: relative, against eager float32 PyTorch.

    ``devices``: kinds it runs on.  ``requires``: distribution it needs, "" for none.
    ``automatic``: whether ``auto`` may choose it (those that take minutes to build may not).
    ``portable``: the exported file is all it needs; PyTorch need not be loaded at all.
    """

    runner: str
    tolerance: float
    devices: tuple[str, ...]
    description: str
    requires: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    automatic: bool = True
    portable: bool = False


_PACKAGE = "avs_ros.inference.engines."
ENGINES: dict[str, Engine] = {
    "torch": Engine(
        _PACKAGE + "torch_eager:TorchRunner", 1e-3, ("cpu", "cuda"), "eager PyTorch, float32"
    ),
    "onnxruntime": Engine(
        _PACKAGE + "portable:OnnxRuntimeRunner",
        1e-3,
        ("cpu", "cuda"),
        "ONNX Runtime, float32",
        requires="onnxruntime",
        portable=True,
    ),
    "openvino": Engine(
        _PACKAGE + "portable:OpenVinoRunner",
        1e-3,
        ("cpu",),
        "OpenVINO, float32",
        requires="openvino",
        portable=True,
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
    "cuda-graph-compiled": Engine(
        _PACKAGE + "cuda_graph:CudaGraphRunner",
        3e-2,
        ("cuda",),
        "cuda-graph of the step that TorchInductor compiled, float16 with float32 islands",
        requires="triton",
        options={"compiled": True},
        automatic=False,
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
        _PACKAGE + "portable:OnnxRuntimeRunner",
        1e-3,
        ("cuda",),
        "ONNX Runtime's TensorRT provider, float32",
        requires="onnxruntime-gpu",
        options={"provider": "tensorrt"},
        automatic=False,
    ),
}
AUTO = "auto"
_MEASURED_STEPS = 8


def choose_device(device: str) -> str:
    """Turn "auto" into "cuda" where PyTorch sees a GPU, else "cpu"; others are checked.

    Raises EngineError for a device that is not there.
    """
    if device == AUTO:
        return "cuda" if _gpu_is_possible() and _gpu_count() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise EngineError(f"unknown device {device!r}; known: auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        count = _gpu_count()
        if int(index or 0) >= count:
            raise EngineError(f"device {device} is not there: PyTorch sees {count} GPUs; use cpu")
    return device


def build_runner(program: Step, engine: str, device: str) -> StepRunner:
    """``program`` on ``engine``, checked against eager PyTorch.

    ``program``: a :class:`StepProgram`, or a :class:`PreparedStep` for the portable engines.
    ``device``: from :func:`choose_device`.  Raises EngineError for an unknown engine, one that
    does not run on the device, or one whose numbers differ by more than it states;
    MissingDependencyError for one that is not installed.
    """
    if engine == AUTO:
        return _fastest(program, device)
    entry = find_engine(engine, device)
    if isinstance(program, PreparedStep) and not entry.portable:
        raise EngineError(f"engine {engine} needs the network itself, not its exported file")
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


def find_engine(engine: str, device: str) -> Engine:
    """The entry of ``engine``; EngineError for an unknown one, or one not for ``device``."""
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; known: {AUTO}, {', '.join(ENGINES)}")
    entry = ENGINES[engine]
    if device.partition(":")[0] not in entry.devices:
        raise EngineError(f"engine {engine} runs on {' or '.join(entry.devices)}, not on {device}")
    return entry


def remembered(program: Step, device: str) -> str | None:
    """The engine that ``auto`` found the fastest for this step on this machine, if it has."""
    note = _note(program, device)
    known = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
    return known if known in ENGINES else None


def step_ms(program: Step, runner: StepRunner, steps: int = _MEASURED_STEPS) -> float:
    """Least milliseconds per step on the program's fixed input.

    The least, because whatever else the machine does makes steps longer, never shorter, and the
    choice that rests on it is kept.
    """
    runner(*program.example)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        runner(*program.example)
        times.append((time.perf_counter() - began) * 1e3)
    return min(times)


def _fastest(program: Step, device: str) -> StepRunner:
    known = remembered(program, device)
    if known is not None:
        try:
            return build_runner(program, known, device)
        except AvsError as error:
            _log.warning("%s", error)
    best: StepRunner | None = None
    best_ms = float("inf")
    kind = device.partition(":")[0]
    for name, entry in ENGINES.items():
        if not entry.automatic or kind not in entry.devices:
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
        slower: StepRunner | None = runner
        if best is None or ms < best_ms:
            best, slower, best_ms = runner, best, ms
        if slower is not None:
            slower.close()
    if best is None:
        raise EngineError(f"no engine can serve {program.name} on {device}")
    _note(program, device).write_text(best.engine, encoding="utf-8")
    return best


def _note(program: Step, device: str) -> Path:
    return cached_path(program, f"_fastest_{_machine(device)}.txt")


def _gpu_is_possible() -> bool:
    """Whether it is worth asking PyTorch: off Linux always, on it where a driver has devices."""
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return True
    # NVIDIA's (desktop, Jetson, Windows' Linux) and AMD's.
    kinds = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "dxg", "kfd")
    return any(any(Path("/dev").glob(kind)) for kind in kinds)


def _gpu_count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _machine(device: str) -> str:
    """Short name of what a measured decision holds for: device, cores, library versions."""
    threads = computing_threads() or os.cpu_count()
    parts = [device, str(threads), importlib.metadata.version("torch")]
    if device.startswith("cuda"):
        import torch

        parts.append(torch.cuda.get_device_name(torch.device(device)))
    for library in filter(None, (entry.requires for entry in ENGINES.values())):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            parts.append(f"{library}{importlib.metadata.version(library)}")
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
