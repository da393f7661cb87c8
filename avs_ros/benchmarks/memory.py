"""What a process uses: resident memory now and at its peak, processor time, GPU memory."""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from avs_ros.errors import ParameterError

MIB = 2**20


def peak_mib() -> float:
    """Largest resident memory of this process since its start (MiB)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def forget_peak() -> bool:
    """Let the kernel count :func:`recent_peak_mib` from here on; False where it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def recent_peak_mib() -> float | None:
    """Largest resident memory since :func:`forget_peak` (MiB); None off Linux."""
    return _status_mib("self", "VmHWM")


def gpu_peak_mib(device: str) -> float | None:
    """Largest memory that PyTorch held on the GPU since the start (MiB); None for the CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated(torch.device(device)) / MIB


def available_mib() -> float | None:
    """Memory that this machine could still give away (MiB); None off Linux."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) / 1024 if found else None


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
        """Since the start, or the last call."""
        now, ticks = time.monotonic(), self._cpu_ticks()
        busy_s = (ticks - self._ticks) / os.sysconf("SC_CLK_TCK")
        percent = 100.0 * busy_s / max(now - self._began, 1e-9)
        self._began, self._ticks = now, ticks
        return Usage(percent, _status_mib(str(self._pid), "VmRSS") or 0.0)

    def _cpu_ticks(self) -> int:
        try:
            text = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8")
        except OSError as error:
            raise ParameterError(f"process {self._pid} is not there to be watched") from error
        # The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
        fields = text.rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


def _status_mib(pid: str, field: str) -> float | None:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) / 1024 if found else None
