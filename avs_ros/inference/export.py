"""The whole step as one static ONNX graph.

Inputs and outputs carry the program's names and shapes; batch is 1.  The graph holds the
classifier's backward pass too: it was written out in plain tensor operations, so nothing in the
file needs autograd.

All shapes are static, so what the graph computes of them is folded.  The tracing exporter writes
the arithmetic of shapes, indices and position encodings down as operators on int64; engines for
GPUs take int64 for shapes only, or narrow it.  What remains computes on what the inputs hold.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from avs_ros.errors import EngineError, optional
from avs_ros.inference.engines.prepared import cached_path, forget_old

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

OPSET = 17
# The last one without LayerNormalization, which TensorRT before 8.6 cannot read.
OLD_OPSET = 16
# Smaller tensors stay in the graph's own file, where engines look when they fold constants.
_APART_BYTES = 1024


def export_onnx(
    program: StepProgram, path: str | Path, weights_beside: bool = False, opset: int = OPSET
) -> Path:
    """Write ``program`` to ``path`` and return it.

    ``weights_beside``: keep them in ``path`` + ".data", which engines map into memory instead of
    reading it.  ``opset``: version of the operators.  Raises EngineError when the graph cannot be
    made, MissingDependencyError without onnx.
    """
    onnx = optional("onnx", "exporting a model")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = tuple(torch.from_numpy(x) for x in program.example)
    options: dict[str, Any] = {
        "input_names": list(program.inputs),
        "output_names": list(program.outputs),
        "opset_version": opset,
        # It stores a matrix and its transpose, which the backward pass uses; without it the two
        # share a constant, and OpenVINO 2026.4 computes wrong numbers.
        "do_constant_folding": True,
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        # The tracing exporter: needs no further package and is exact for these graphs.
        options["dynamo"] = False
    data = f"{path.name}.data"
    apart: dict[str, Any] = {
        "save_as_external_data": True, "all_tensors_to_one_file": True, "location": data,
        "size_threshold": _APART_BYTES,
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
            partial = Path(folder) / path.name
            with _quiet(), torch.no_grad():
                torch.onnx.export(program.module, arguments, str(partial), **options)
            model = onnx.load(str(partial))
            fold_shapes(model)
            about = {"step": program.name, "fingerprint": program.fingerprint}
            onnx.helper.set_model_props(model, about)
            onnx.save_model(model, str(partial), **(apart if weights_beside else {}))
            if (beside := partial.with_name(data)).is_file():
                beside.replace(path.with_name(data))
            # The graph comes last, so that it never stands alone.
            partial.replace(path)
    except (RuntimeError, torch.onnx.errors.OnnxExporterError, OSError) as error:
        raise EngineError(f"the step of {program.name} cannot be exported: {error}") from error
    return path


def exported(program: StepProgram, opset: int = OPSET) -> Path:
    """The program's file in the cache, exported now if it is not there yet."""
    path = cached_path(program, f"_opset{opset}.onnx")
    if not path.is_file():
        export_onnx(program, path, weights_beside=True, opset=opset)
        forget_old(path.parent, program.name, f"_opset{opset}.onnx")
    return path


@contextlib.contextmanager
def _quiet() -> Any:
    """The tracer warns of each shape that becomes a constant; here all of them are meant to."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


# Larger constants are weights: they stay as they are, and no operator on them is folded.
_LARGEST = 1 << 17
_Known = dict[str, NDArray[Any]]


def fold_shapes(model: Any) -> None:
    """Fold in place.

    ``model``: an ``onnx.ModelProto`` with static input shapes and its weights inside.  Operators
    on constants alone are replaced by their value, those that nothing needs are removed.
    """
    from onnx import numpy_helper

    graph = model.graph
    known: _Known = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if np.prod(tensor.dims) <= _LARGEST
    }
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    while _fold_once(graph, known, opsets, _shapes(model)):
        pass
    _prune(graph)


def _fold_once(graph: Any, known: _Known, opsets: dict[str, int], shapes: _Known) -> bool:
    """Fold each operator whose inputs (or their shapes) are known by now; whether any was."""
    from onnx import numpy_helper

    kept: list[Any] = []
    found: _Known = {}
    for node in graph.node:
        values = _value(node, known, opsets, shapes)
        if values is None:
            kept.append(node)
        else:
            found.update(zip(node.output, values, strict=True))
            known.update(found)
    if not found:
        return False
    del graph.node[:]
    graph.node.extend(kept)
    needed = {name for node in kept for name in node.input} | {out.name for out in graph.output}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in found.items()
        if name in needed
    )
    return True


def _value(
    node: Any, known: _Known, opsets: dict[str, int], shapes: _Known
) -> list[NDArray[Any]] | None:
    """What a node computes, or None where that depends on the graph's inputs."""
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and node.input[0] in shapes:
        ends = {a.name: a.i for a in node.attribute}
        return [shapes[node.input[0]][ends.get("start", 0) : ends.get("end")]]
    if any(name and name not in known for name in node.input) or node.op_type.startswith("Random"):
        return None
    inputs = {name: known[name] for name in node.input if name}
    values = [np.asarray(v) for v in ReferenceEvaluator(node, opsets=opsets).run(None, inputs)]
    return values if all(v.size <= _LARGEST for v in values) else None


def _shapes(model: Any) -> _Known:
    """Static shapes (int64) by tensor name, inferred without looking at the weights."""
    import onnx

    graph = model.graph
    skeleton = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    skeleton.graph.name = graph.name
    skeleton.graph.node.extend(graph.node)
    skeleton.graph.output.extend(graph.output)
    skeleton.graph.input.extend(graph.input)
    for tensor in graph.initializer:
        if np.prod(tensor.dims) <= _LARGEST:
            skeleton.graph.initializer.append(tensor)
        else:
            skeleton.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    inferred = onnx.shape_inference.infer_shapes(skeleton, data_prop=True).graph
    shapes = {}
    for value in [*inferred.value_info, *inferred.input, *inferred.output]:
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            shapes[value.name] = np.array([d.dim_value for d in kind.shape.dim], np.int64)
    return shapes


def _prune(graph: Any) -> None:
    """Remove operators and constants that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]
