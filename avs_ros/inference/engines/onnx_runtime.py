"""ONNX Runtime: CPU, CUDA, or its TensorRT provider."""

from __future__ import annotations

from pathlib import Path

from avs_ros.errors import EngineError, optional
from avs_ros.inference.engines.prepared import Array, Results, Step
from avs_ros.inference.engines.threads import computing_threads


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
        wanted = {
            "cpu": "CPUExecutionProvider",
            "cuda": "CUDAExecutionProvider",
            "tensorrt": "TensorrtExecutionProvider",
        }[provider]
        if wanted not in onnxruntime.get_available_providers():
            raise EngineError(
                f"this ONNX Runtime has no {wanted}; it has "
                f"{', '.join(onnxruntime.get_available_providers())} (GPU: onnxruntime-gpu)"
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
        about: dict[str, str | int] = {} if provider == "cpu" else {"device_id": index}
        if provider == "cuda":
            about["use_tf32"] = 0  # 10 bits of mantissa, and it is on by itself
        providers = [(wanted, about)]
        try:
            self._session = onnxruntime.InferenceSession(
                str(path or program.graph), options, providers=providers
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
