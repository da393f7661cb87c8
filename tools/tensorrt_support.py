"""Whether TensorRT can read an exported step: operator by operator, against its published table.

``python tools/tensorrt_support.py FILE.onnx ...`` says it for the TensorRT of each JetPack.

``tensorrt_operators.csv`` holds what ``docs/operators.md`` of github.com/onnx/onnx-tensorrt (the
parser inside TensorRT, Apache-2.0) says, per operator the types it takes, "" where it is not
supported:

    column  JetPack            read at                                        of
    8.5     5.1 (8.5.2)        fdeeaca87ad2eef316aafb016e1822502f383eea       release 8.5 GA
    8.6     6.0 (8.6.2)        ee0b139bc68567a89618c1d84dcd461cc144aad4       release 8.6 GA
    10.3    6.1, 6.2 (10.3.0)  96e781103cfc4adf4a6bb557e94bac8e693f6f4c       release 10.1 GA

The page of 10.3 itself was not at hand; ``docs/Changelog.md`` of the same repository (10.6 GA)
names only additions for 10.2 and 10.3.  JetPack's versions: NVIDIA's release notes, and for 6.1
and 6.2 pytorch.org/TensorRT, "Torch-TensorRT in JetPack".
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

VERSIONS = {"8.5": "JetPack 5.1", "8.6": "JetPack 6.0", "10.3": "JetPack 6.1, 6.2"}
_TABLE = Path(__file__).with_name("tensorrt_operators.csv")
_MOST_K = 3840
_MODES = (
    "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One obstacle: ``operator`` and ``name`` of the node (or tensor), and the ``reason``."""

    operator: str
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.operator} {self.name}: {self.reason}"


class Graph:
    """An exported graph with its types, shapes and constants by tensor name."""

    def __init__(self, path: Path) -> None:
        """Read ``path``; weights beside it are not needed."""
        import onnx

        model = onnx.shape_inference.infer_shapes(onnx.load(str(path), load_external_data=False))
        self.opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        graph = model.graph
        self.nodes = list(graph.node)
        self.constants = {t.name: t for t in graph.initializer}
        self.constants |= {
            n.output[0]: next(a.t for a in n.attribute if a.name == "value")
            for n in self.nodes if n.op_type == "Constant"
        }  # fmt: skip
        self.types: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...] | None] = {}
        kinds = onnx.TensorProto.DataType
        for value in [*graph.input, *graph.output, *graph.value_info]:
            kind = value.type.tensor_type
            self.types[value.name] = _short(kinds.Name(kind.elem_type))
            sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
            known = kind.HasField("shape") and min(sizes, default=0) >= 0
            self.shapes[value.name] = tuple(sizes) if known else None
        for name, tensor in self.constants.items():
            self.types[name] = _short(kinds.Name(tensor.data_type))
            self.shapes[name] = tuple(tensor.dims)


def check(path: Path, version: str) -> list[Finding]:
    """What keeps TensorRT ``version`` (a key of :data:`VERSIONS`) from running ``path``.

    An empty list where nothing does: every operator is in the table with the types that it works
    on, every shape is known, nothing computes on int64 but choices (ArgMax, TopK) and what picks
    by them, and no operator has an attribute or a computed argument that the table restricts.
    """
    graph = Graph(path)
    found = []
    for node in graph.nodes:
        reasons = [_unsupported(graph, node, version), _shape(graph, node), _int64(graph, node)]
        reasons += [rule(graph, node) for rule in _RULES.get(node.op_type, ())]
        found += [Finding(node.op_type, node.name, reason) for reason in reasons if reason]
    return found


@lru_cache(maxsize=1)
def table() -> dict[str, dict[str, frozenset[str]]]:
    """Operator -> TensorRT version -> types it takes (empty: not supported)."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return {
            row["operator"]: {version: frozenset(row[version].split()) for version in VERSIONS}
            for row in csv.DictReader(file)
        }


def _unsupported(graph: Graph, node: Any, version: str) -> str:
    """The operator, or a type that it works on, is not in the table."""
    known = table().get(node.op_type, {}).get(version, frozenset())
    if not known or node.domain not in ("", "ai.onnx"):
        return f"not supported by TensorRT {version}"
    # Of most operators the first input says the type; further ones are indices, sizes, axes.
    names = [node.input[1] if node.op_type == "Where" else n for n in node.input[:1]]
    kinds = {graph.types[name] for name in names}
    kinds.discard("INT64" if version.startswith("8") else "")  # read as INT32
    if node.op_type in ("ConstantOfShape", "Cast", "Range", "Shape"):
        return ""
    wrong = kinds - known - {"INT64"}
    return f"takes no {', '.join(sorted(wrong))} in TensorRT {version}" if wrong else ""


def _shape(graph: Graph, node: Any) -> str:
    unknown = [name for name in node.output if name and graph.shapes.get(name) is None]
    return f"the shape of {unknown[0]} is not static" if unknown else ""


# Operators that choose, those that move what was chosen about, and those that pick by it.
_CHOOSE = ("ArgMax", "TopK")
_MOVE = ("Slice", "Unsqueeze", "Squeeze", "Reshape", "Identity", "Cast", "Constant")
_PICK = ("Gather", "GatherElements")


def _int64(graph: Graph, node: Any) -> str:
    """Indices come from choices and serve to pick; nothing else is done with them."""
    made = any(graph.types.get(name) == "INT64" for name in node.output)
    used = [
        place for place, name in enumerate(node.input)
        if graph.types.get(name) == "INT64" and name not in graph.constants
    ]  # fmt: skip
    fine = node.op_type in _MOVE or (node.op_type in _PICK and used in ([], [1]))
    if node.op_type in _CHOOSE:
        return ""
    return "" if fine or not (made or used) else "computes on int64"


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _constant(position: int, what: str) -> Callable[[Graph, Any], str]:
    """Rule: the input at ``position``, where it is given, is a constant."""

    def rule(graph: Graph, node: Any) -> str:
        name = node.input[position] if len(node.input) > position else ""
        return f"{what} is computed" if name and name not in graph.constants else ""

    return rule


def _resize(graph: Graph, node: Any) -> str:
    known = _attributes(node)
    mode = known.get("mode", b"nearest").decode()
    where = known.get("coordinate_transformation_mode", b"half_pixel").decode()
    fine = mode in ("nearest", "linear") and where in _MODES
    return "" if fine else f"resizes by {mode}, {where}"


def _top_k(graph: Graph, node: Any) -> str:
    import onnx

    if node.input[1] not in graph.constants:
        return "K is computed"
    count = int(onnx.numpy_helper.to_array(graph.constants[node.input[1]]).item())
    if not _attributes(node).get("sorted", 1):
        return "is not sorted"
    return "" if count < _MOST_K else f"K is {count}, more than {_MOST_K - 1}"


def _einsum(graph: Graph, node: Any) -> str:
    """TensorRT 8: no ellipsis, no diagonal, no broadcasting."""
    equation = _attributes(node)["equation"].decode().replace(" ", "")
    sizes: dict[str, int] = {}
    for term, name in zip(equation.split("->")[0].split(","), node.input, strict=True):
        if "." in term or len(set(term)) < len(term):
            return f"einsum {equation} has an ellipsis or a diagonal"
        for letter, size in zip(term, graph.shapes[name] or (), strict=True):
            if sizes.setdefault(letter, size) != size:
                return f"einsum {equation} broadcasts {letter}"
    return ""


def _pool(graph: Graph, node: Any) -> str:
    dilations = _attributes(node).get("dilations", [])
    dimensions = len(graph.shapes[node.input[0]] or ())
    return "" if set(dilations) <= {1} and dimensions in (4, 5) else "is no plain 2D or 3D pooling"


def _norm(graph: Graph, node: Any) -> str:
    return "" if sum(map(bool, node.output)) == 1 else "more than its first output is used"


def _strings(graph: Graph, node: Any) -> str:
    names = {a.name for a in node.attribute}
    return "" if names <= {"value", "value_float", "value_int"} else f"holds {sorted(names)}"


_AXES = _constant(1, "its axes input")
_RULES: dict[str, tuple[Callable[[Graph, Any], str], ...]] = {
    "AveragePool": (_pool,), "MaxPool": (_pool,), "Constant": (_strings,),
    "CumSum": (_constant(1, "its axis"),), "Einsum": (_einsum,),
    "Expand": (_constant(1, "its shape"),), "LayerNormalization": (_norm,),
    "Pad": (_constant(1, "its padding"), _constant(3, "its axes input")), "Resize": (_resize,),
    "ReduceSum": (_AXES,), "Reshape": (_constant(1, "its shape"),),
    "Slice": tuple(_constant(i, f"input {i}") for i in (1, 2, 3, 4)),
    "Split": (_constant(1, "its split"),), "Squeeze": (_AXES,), "TopK": (_top_k,),
    "Unsqueeze": (_AXES,),
}  # fmt: skip


def _short(name: str) -> str:
    return {"FLOAT": "FP32", "FLOAT16": "FP16"}.get(name, name)


def main(words: list[str]) -> int:
    """Say it for every file and version; 1 where one cannot be read by any of them."""
    status = 0
    for word in words:
        readable = False
        for version, where in VERSIONS.items():
            found = check(Path(word), version)
            readable |= not found
            print(f"{word}: TensorRT {version} ({where}): {'reads it' if not found else ''}")
            for line in sorted({f"{f.operator}: {f.reason}" for f in found}):
                print(f"  {line}")
        status |= not readable
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
