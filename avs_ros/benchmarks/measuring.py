"""Samples taken in turns and the ratios between them; what a process uses; the machine.

Machines slow down and speed up while one measures.  In one round each candidate serves one
frame, so a round's ratio compares moments that lie close together; what is told is the median
of the rounds' ratios, never the ratio of two medians from different minutes.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import avs_ros
from avs_ros.errors import ParameterError


@dataclass(frozen=True)
class Timing:
    """Milliseconds: ``median``, ``low`` and ``high`` (10 %, 90 %), ``best``.

    ``ratio``: how many times faster than the reference, median over rounds; ``ratio_low``,
    ``ratio_high``: the quartiles of the rounds' ratios.  ``samples``: ms, by round.
    """

    median: float
    low: float
    high: float
    best: float
    ratio: float
    ratio_low: float
    ratio_high: float
    samples: tuple[float, ...]


def take_turns(
    steps: Mapping[str, Callable[[int], float]],
    rounds: int,
    on_sample: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Samples (ms) of each candidate: ``rounds`` of one call each, each round begun by another.

    ``steps``: name -> function that serves round number n and returns the milliseconds.
    """
    names = deque(steps)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            samples[name].append(steps[name](number))
            on_sample()
        names.rotate(-1)
    return samples


def summarise(samples: Mapping[str, Sequence[float]], reference: str) -> dict[str, Timing]:
    """Medians, and ratios to ``reference`` round by round."""
    base = np.asarray(samples[reference], float)
    found = {}
    for name, taken in samples.items():
        ms = np.asarray(taken, float)
        low, median, high = map(float, np.percentile(ms, (10, 50, 90)))
        first, middle, third = map(float, np.percentile(base / ms, (25, 50, 75)))
        found[name] = Timing(
            median, low, high, float(ms.min()), middle, first, third, tuple(ms.tolist())
        )
    return found


MIB = 2**20


def peak_mib() -> float:
    """Largest resident memory of this process since its start (MiB)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def forget_peak() -> None:
    """Let the kernel count VmHWM, the largest resident memory, from here on, where it can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def gpu_peak_mib(device: str) -> float | None:
    """Largest memory that PyTorch held on the GPU since the start (MiB); None for the CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated(torch.device(device)) / MIB


@dataclass(frozen=True)
class Usage:
    """``cpu_percent``: of one core, over the time watched; ``rss_mib``: at its end."""

    cpu_percent: float
    rss_mib: float


class ProcessWatch:
    """Processor time and memory of another process, from ``/proc``."""

    def __init__(self, pid: int) -> None:
        """Begin to watch; raises :class:`ParameterError` where there is no such process."""
        self._pid = pid
        self._began, self._ticks = time.monotonic(), self._cpu_ticks()

    def usage(self) -> Usage:
        """Since the start."""
        busy_s = (self._cpu_ticks() - self._ticks) / os.sysconf("SC_CLK_TCK")
        percent = 100.0 * busy_s / max(time.monotonic() - self._began, 1e-9)
        return Usage(percent, listed_mib(f"{self._pid}/status", "VmRSS") or 0.0)

    def _cpu_ticks(self) -> int:
        try:
            text = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8")
        except OSError as error:
            raise ParameterError(f"process {self._pid} is not there to be watched") from error
        # The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
        fields = text.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


def listed_mib(table: str, field: str) -> float | None:
    """An entry in kB of a file of ``/proc`` (MiB); None off Linux."""
    found = _listed(table, rf"^{field}:\s+(\d+) kB")
    return int(found) / 1024 if found else None


def _listed(table: str, pattern: str) -> str:
    """What ``pattern`` finds in a file of ``/proc``; "" where there is nothing."""
    try:
        text = Path("/proc", table).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else ""


_LIBRARIES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "numpy", "timm")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, threads, libraries, GPU if there is one, and what else is going on.

    ``load``: processes that wanted a core over the last minute, as the run began; above
    ``cores`` others were at work, and only ratios mean something.
    """
    import torch

    return {
        "avs_ros": avs_ros.__version__,
        "cpu": processor(),
        "cores": cores(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "libraries": {name: number for name in _LIBRARIES if (number := installed_version(name))},
        "load": round(os.getloadavg()[0], 1),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def processor() -> str:
    """The processor's name."""
    named = _listed("cpuinfo", r"^model name\s*:\s*(.*)")
    return named or platform.processor() or platform.machine()


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


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, None without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
