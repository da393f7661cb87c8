"""The whole step as one static ONNX graph.

Inputs and outputs carry the program's names and shapes; batch is 1.  The graph holds the
classifier's backward pass too: it was written out in plain tensor operations, so nothing in the
file needs autograd.  All shapes are constants.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.inference.engines.cache import cached_path, forget_old
from avs_ros.inference.static_graph import fold_shapes

if TYPE_CHECKING:
    from avs_ros.inference.engines.program import StepProgram

OPSET = 17
# The last one without LayerNormalization, which TensorRT before 8.6 cannot read.
OLD_OPSET = 16
# Smaller tensors stay in the graph's own file, where engines look when they fold constants.
_APART_BYTES = 1024


def export_onnx(
    program: StepProgram,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    weights_beside: bool = False,
    opset: int = OPSET,
) -> Path:
    """Write ``program`` to ``path`` and return it.

    ``metadata``: stored in the file's ``metadata_props`` as JSON text (needs the onnx package
    where given).  ``weights_beside``: keep them in ``path`` + ".data", which engines map into
    memory instead of reading it.  ``opset``: version of the operators.  Raises EngineError when
    the graph cannot be made, MissingDependencyError without onnx.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            "onnx", "exporting a model", "pip install 'avs_ros[onnx]'"
        ) from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
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
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(program.module, arguments, str(partial), **options)
        model = onnx.load(str(partial))
        fold_shapes(model)
        entries = {"step": program.name, "fingerprint": program.fingerprint, **(metadata or {})}
        for key, value in entries.items():
            entry = model.metadata_props.add()
            entry.key = key
            entry.value = value if isinstance(value, str) else json.dumps(value)
        if weights_beside:
            _save_apart(model, path)
        else:
            onnx.save(model, str(partial))
            partial.replace(path)
    except (RuntimeError, torch.onnx.errors.OnnxExporterError, OSError) as error:
        raise EngineError(f"the step of {program.name} cannot be exported: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def exported(program: StepProgram, opset: int = OPSET) -> Path:
    """The program's file in the cache, exported now if it is not there yet."""
    path = cached_path(program, f"_opset{opset}.onnx")
    if not path.is_file():
        export_onnx(program, path, weights_beside=True, opset=opset)
        forget_old(path.parent, program.name, f"_opset{opset}.onnx")
    return path


def _save_apart(model: Any, path: Path) -> None:
    """Graph and weights in two files; the graph comes last, so that it never stands alone."""
    import onnx

    data = f"{path.name}.data"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as folder:
        onnx.save_model(
            model, str(Path(folder) / path.name), save_as_external_data=True,
            all_tensors_to_one_file=True, location=data, size_threshold=_APART_BYTES,
        )  # fmt: skip
        if (Path(folder) / data).is_file():
            (Path(folder) / data).replace(path.with_name(data))
        (Path(folder) / path.name).replace(path)


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
