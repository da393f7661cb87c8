"""The whole step as one static ONNX graph.

Inputs and outputs carry the program's names and shapes; batch is 1.  The graph holds the
classifier's backward pass too: it was written out in plain tensor operations, so nothing in the
file needs autograd.  Opset 17.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from avs_ros.errors import EngineError, MissingDependencyError
from avs_ros.inference.engines.cache import cached_path, forget_old
from avs_ros.inference.engines.program import StepProgram

OPSET = 17


def export_onnx(
    program: StepProgram, path: str | Path, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write ``program`` to ``path`` and return it.

    ``metadata``: stored in the file's ``metadata_props`` as JSON text (needs the onnx package
    where given).  Raises EngineError when the graph cannot be made, MissingDependencyError
    without onnx.
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
        "opset_version": OPSET,
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
        facts = {"step": program.name, "fingerprint": program.fingerprint, **(metadata or {})}
        for key, value in facts.items():
            entry = model.metadata_props.add()
            entry.key = key
            entry.value = value if isinstance(value, str) else json.dumps(value)
        onnx.save(model, str(partial))
        partial.replace(path)
    except (RuntimeError, torch.onnx.errors.OnnxExporterError, OSError) as error:
        raise EngineError(f"the step of {program.name} cannot be exported: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def exported(program: StepProgram) -> Path:
    """The program's file in the cache, exported now if it is not there yet."""
    path = cached_path(program, f"_opset{OPSET}.onnx")
    if not path.is_file():
        export_onnx(program, path)
        forget_old(path.parent, f"{program.name}_*.onnx")
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
