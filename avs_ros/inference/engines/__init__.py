"""Where a model's step can run: PyTorch, CUDA graph, ONNX Runtime, OpenVINO, TensorRT."""

from avs_ros.inference.engines.prepared import Step, StepRunner
from avs_ros.inference.engines.selection import ENGINES, build_runner, choose_device

__all__ = ["ENGINES", "Step", "StepRunner", "build_runner", "choose_device"]
