"""The machine that a result belongs to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import avs_ros

_LIBRARIES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "numpy", "timm")


def describe() -> dict[str, Any]:
    """Processor, cores, threads, libraries, GPU if there is one, and what else is going on.

    ``load``: processes that wanted a core over the last minute, as the run began; above
    ``cores`` others were at work, and only ratios mean something.
    """
    import torch

    found: dict[str, Any] = {
        "avs_ros": avs_ros.__version__,
        "cpu": processor(),
        "cores": cores(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name))},
        "load": round(os.getloadavg()[0], 1),
        "gpu": None,
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    return found


def processor() -> str:
    """The processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines()
             if line.startswith("model name")]
    return names[0] if names else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_description(machine: dict[str, Any]) -> str:
    """One line for tables and plots."""
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    libraries = machine["libraries"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['torch_threads']} threads{gpu}; "
        f"torch {libraries.get('torch', '?')}; load {machine['load']}"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
