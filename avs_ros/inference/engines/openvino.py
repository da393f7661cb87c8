"""OpenVINO on the CPU, in float32 (its default on some CPUs would be bfloat16).

An engine that maps its weights and packs them anew touches each page once, but the pages count
as the process's memory for as long as the mapping lives, which may be for ever.  They are clean
copies of a file: dropped, they cost nothing, and whoever reads them again gets them again.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from avs_ros.errors import EngineError, optional
from avs_ros.inference.engines.prepared import Array, Results, Step
from avs_ros.inference.engines.threads import computing_threads

_EVERY_S = 0.05


def drop_pages(path: Path) -> int:
    """Drop this process's resident pages of ``path``, mapped read-only; bytes of the mappings.

    0 off Linux, and where nothing of it is mapped.
    """
    if not sys.platform.startswith("linux") or not hasattr(mmap, "MADV_DONTNEED"):
        return 0
    name, dropped = str(path.resolve()), 0
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    for line in lines:
        fields = line.split(None, 5)
        # Never one that may be written to: its pages could differ from the file.
        if len(fields) < 6 or fields[5] != name or "w" in fields[1]:
            continue
        first, last = (int(part, 16) for part in fields[0].split("-"))
        if advise(first, last - first, mmap.MADV_DONTNEED) == 0:
            dropped += last - first
    return dropped


@contextlib.contextmanager
def passing_through(path: Path) -> Iterator[None]:
    """While an engine loads from ``path``, keep only the pages that it is reading now."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(_EVERY_S):
            drop_pages(path)

    thread = threading.Thread(target=run, name="avs-pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        drop_pages(path)


class OpenVinoRunner:
    """The exported step in OpenVINO."""

    engine = "openvino"

    def __init__(self, program: Step, device: str) -> None:
        openvino = optional("openvino", "engine openvino")
        if not device.startswith("cpu"):
            raise EngineError(f"engine openvino runs on the CPU here, got {device}")
        core = openvino.Core()
        options: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": computing_threads(),  # 0: all
        }
        graph = program.graph
        try:
            # It packs the weights anew, and keeps the file's mapped as long as it lives.
            with passing_through(graph.with_name(f"{graph.name}.data")):
                compiled = core.compile_model(str(graph), "CPU", options)
                self._request = compiled.create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot load the exported step: {error}") from error
        self.device = "cpu"
        self._places = [compiled.output(name) for name in program.outputs]

    def __call__(self, *inputs: Array) -> Results:
        """See :class:`StepRunner`; inputs are read in place, outputs copied."""
        results = self._request.infer(list(inputs), share_inputs=True)
        return tuple(results[place] for place in self._places)

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._request, self._places
