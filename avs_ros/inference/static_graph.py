"""Fold what an exported graph computes of shapes: its shapes are static, so these are constants.

The tracing exporter writes the arithmetic of shapes, indices and position encodings down as
operators on int64.  Engines for GPUs take int64 for shapes only, or narrow it.  What remains after
folding computes on what the inputs hold, and on nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Larger constants are weights: they stay as they are, and no operator on them is folded.
_LARGEST = 1 << 17
_Known = dict[str, NDArray[Any]]


def fold_shapes(model: Any) -> int:
    """Fold in place; how many operators are left.

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
    return len(graph.node)


def _fold_once(graph: Any, known: _Known, opsets: dict[str, int], shapes: _Known) -> bool:
    """Fold each operator whose inputs (or their shapes) are known by now; whether any was."""
    from onnx import numpy_helper

    kept: list[Any] = []
    found: _Known = {}
    for node in graph.node:
        values = _value(node, known, opsets, shapes)
        if values is None:
            kept.append(node)
            continue
        found.update(zip(node.output, values, strict=True))
        known.update(zip(node.output, values, strict=True))
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
