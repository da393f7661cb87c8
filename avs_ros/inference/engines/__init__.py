"""Where a model's step can run: PyTorch, CUDA graph, ONNX Runtime, OpenVINO, TensorRT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avs_ros.inference.engines.prepared import Step, StepRunner
from avs_ros.inference.engines.selection import ENGINES, build_runner, choose_device

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

__all__ = ["ENGINES", "Step", "StepProgram", "StepRunner", "build_runner", "choose_device"]


def __getattr__(name: str) -> Any:
    """``StepProgram`` on first use: it brings PyTorch, which prepared steps do without."""
    if name == "StepProgram":
        from avs_ros.inference.engines import program

        return program.StepProgram
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
