"""TensorRT: an engine built from the exported step, kept by device, version and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.inference.engines.cuda_graph import single_parts
from avs_ros.inference.engines.prepared import Array, Step, cached_path, written_whole
from avs_ros.inference.engines.program import StepProgram
from avs_ros.inference.export import OLD_OPSET, exported

# Before it the parser has no LayerNormalization.
_LAYER_NORM_SINCE = (8, 6)
_WORKSPACE_BYTES = 2 << 30
# Layers whose sums or powers do not survive half precision.
_SINGLE_LAYERS = ("SOFTMAX", "NORMALIZATION", "REDUCE", "UNARY", "TOPK")
# Layers whose type cannot be chosen.
_TYPE_IS_GIVEN = ("CONSTANT", "SHAPE", "CAST")


class TensorRtRunner:
    """The exported step in TensorRT, half precision with float32 where sums need it."""

    engine = "tensorrt"

    def __init__(self, program: Step, device: str) -> None:
        trt = _tensorrt()
        self.device = device
        self._device = torch.device(device)
        plan = build_plan(program, device)
        with torch.cuda.device(self._device):
            engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(
                plan.read_bytes()
            )
            if engine is None:
                plan.unlink()
                raise EngineError(f"TensorRT cannot load {plan}; it was removed, try again")
            self._context = engine.create_execution_context()
            self._stream = torch.cuda.Stream(self._device)
            self._inputs = {
                name: torch.empty(tuple(shape), device=self._device)
                for name, shape in program.inputs.items()
            }
            self._outputs = {
                name: torch.empty(
                    tuple(engine.get_tensor_shape(name)),
                    device=self._device,
                    dtype=_torch_type(trt, engine.get_tensor_dtype(name)),
                )
                for name in program.outputs
            }
        for name, tensor in {**self._inputs, **self._outputs}.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        self._decision = program.decision

    def __call__(self, *inputs: Array) -> tuple[NDArray[np.generic], ...]:
        """See :class:`StepRunner`."""
        with torch.cuda.stream(self._stream):
            for tensor, array in zip(self._inputs.values(), inputs, strict=True):
                tensor.copy_(torch.from_numpy(array), non_blocking=True)
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError("TensorRT failed to run the step")
            results = {name: out.cpu().numpy() for name, out in self._outputs.items()}
        self._stream.synchronize()
        return tuple(
            x.astype(np.int64) if name == self._decision else x.astype(np.float32)
            for name, x in results.items()
        )

    def close(self) -> None:
        """See :class:`StepRunner`."""
        del self._context, self._inputs, self._outputs


def build_plan(program: Step, device: str) -> Path:
    """The engine's file, built now (minutes) if it is not there yet."""
    trt = _tensorrt()
    half = not (isinstance(program, StepProgram) and "" in single_parts(program.module))
    gpu = re.sub(r"\W+", "-", torch.cuda.get_device_name(torch.device(device)))
    precision = "fp16" if half else "fp32"
    path = cached_path(program, f"_{gpu}_trt{trt.__version__}_{precision}.plan")
    if path.is_file():
        return path
    logger = trt.Logger(trt.Logger.ERROR)
    with torch.cuda.device(torch.device(device)):
        builder = trt.Builder(logger)
        explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
        network = builder.create_network(0 if explicit is None else 1 << int(explicit))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(graph_for(program, trt.__version__))):
            reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise EngineError(f"TensorRT cannot read the exported step: {reasons}")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
        config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa, and it is on by itself
        if half:
            config.set_flag(trt.BuilderFlag.FP16)
            config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
            _keep_single(trt, network, program)
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError("TensorRT could not build an engine from the exported step")
    with written_whole(path) as partial:
        partial.write_bytes(bytes(plan))
    return path


def graph_for(program: Step, version: str) -> Path:
    """The exported step in operators that this TensorRT reads."""
    release = tuple(int(part) for part in version.split(".")[:2])
    if release >= _LAYER_NORM_SINCE or not isinstance(program, StepProgram):
        return program.graph
    return exported(program, OLD_OPSET)


def _keep_single(trt: Any, network: Any, program: Step) -> None:
    known = trt.LayerType
    kinds = {getattr(known, name) for name in _SINGLE_LAYERS if hasattr(known, name)}
    given = {getattr(known, name) for name in _TYPE_IS_GIVEN if hasattr(known, name)}
    kept = single_scopes(program)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        inputs = [layer.get_input(number) for number in range(layer.num_inputs)]
        if layer.type in given or any(x is not None and x.dtype != trt.float32 for x in inputs):
            continue
        if layer.type not in kinds and not in_scope(layer.name, kept):
            continue
        layer.precision = trt.float32
        for number in range(layer.num_outputs):
            if layer.get_output(number).dtype == trt.float32:
                layer.set_output_type(number, trt.float32)


def single_scopes(program: Step) -> dict[str, bool]:
    """Name of a part that says whether it stays float32 -> what it says."""
    if not isinstance(program, StepProgram):
        return {}
    parts = program.module.named_modules()
    return {
        name.rpartition(".")[2]: bool(part.keep_single)
        for name, part in parts
        if hasattr(part, "keep_single")
    }


def in_scope(operator: str, scopes: Mapping[str, bool]) -> bool:
    """Whether an operator of the exported graph lies in a part that stays float32.

    ``operator``: its name, which tells the parts around it: ``/segmenter/pixels/norm.0/Mul``.
    """
    for part in reversed(operator.split("/")[:-1]):
        if part in scopes:
            return scopes[part]
    return False


def _torch_type(trt: Any, kind: Any) -> torch.dtype:
    known = {trt.float32: torch.float32, trt.float16: torch.float16, trt.int32: torch.int32}
    if hasattr(trt, "int64"):
        known[trt.int64] = torch.int64
    return known[kind]


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise MissingDependencyError(
            "TensorRT", "engine tensorrt", "pip install tensorrt (comes with JetPack on a Jetson)"
        ) from error
    return tensorrt
