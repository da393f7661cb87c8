"""Engines to which the exported file is enough: ONNX Runtime, and OpenVINO on the CPU.

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


class OnnxRuntimeRunner:
    """The exported step in ONNX Runtime.

    ``provider``: "cpu", "cuda" or "tensorrt"; None follows the device.  ``path``: the exported
    file; None: the cached one.
    """

    engine = "onnxruntime"

    def __init__(
        self,
        program: Step,
        device: str,
        provider: str | None = None,
        path: Path | None = None,
    ) -> None:
        onnxruntime = optional("onnxruntime", "engine onnxruntime")
        provider = provider or ("cuda" if device.startswith("cuda") else "cpu")
        wanted = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "Tensorrt"}[provider]
        wanted += "ExecutionProvider"
        available = onnxruntime.get_available_providers()
        if wanted not in available:
            raise EngineError(
                f"this ONNX Runtime has no {wanted}; it has {', '.join(available)} "
                "(GPU: onnxruntime-gpu)"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that spin between operators take the cores from whoever else runs (the camera's
        # driver, the audio callback) and lose more than they win as soon as someone does.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.intra_op_num_threads = computing_threads()  # 0: all
        index = int(device.split(":")[1]) if ":" in device else 0
        # One block planned for all results at once is larger than what the arena needs piece by
        # piece, and no faster.
        options.enable_mem_pattern = False
        about = {} if provider == "cpu" else {"device_id": index}
        if provider == "cuda":
            about["use_tf32"] = 0  # 10 bits of mantissa, and it is on by itself
        try:
            self._session = onnxruntime.InferenceSession(
                str(path or program.graph), options, providers=[(wanted, about)]
            )
        except Exception as error:  # onnxruntime raises its own unexported classes
            raise EngineError(f"ONNX Runtime cannot load the exported step: {error}") from error
        if wanted not in self._session.get_providers():
            # It says so in its log alone, and takes the CPU.
            raise EngineError(
                f"ONNX Runtime could not start its {wanted}: do its CUDA and cuDNN fit the "
                "installed ones?"
            )
        self.device = device if provider != "tensorrt" else f"{device} (TensorRT)"
        self._names = list(program.inputs)
        self._outputs = list(program.outputs)

    def __call__(self, *inputs: Array) -> Results:
        """See :class:`StepRunner`."""
        feed = dict(zip(self._names, inputs, strict=True))
        return tuple(self._session.run(self._outputs, feed))

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._session


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
    """The exported step in OpenVINO, float32 (its default on some CPUs would be bfloat16)."""

    engine = "openvino"

    def __init__(self, program: Step, device: str) -> None:
        openvino = optional("openvino", "engine openvino")
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
        self.device = device
        self._places = [compiled.output(name) for name in program.outputs]

    def __call__(self, *inputs: Array) -> Results:
        """See :class:`StepRunner`; inputs are read in place, outputs copied."""
        results = self._request.infer(list(inputs), share_inputs=True)
        return tuple(results[place] for place in self._places)

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._request, self._places
