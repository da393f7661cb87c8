"""OpenVINO on the CPU, in float32 (its default on some CPUs would be bfloat16)."""

from __future__ import annotations

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.inference.engines.mapped import passing_through
from avs_ros.inference.engines.prepared import Array, Results, Step
from avs_ros.inference.engines.threads import computing_threads


class OpenVinoRunner:
    """The exported step in OpenVINO."""

    engine = "openvino"

    def __init__(self, program: Step, device: str) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError(
                "OpenVINO", "engine openvino", "pip install 'avs_ros[openvino]'"
            ) from error
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
