"""A weight file: read without running anything in it, its names brought up to date, put into a
module all or nothing.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from avs_ros.errors import CheckpointError

_WRAPPERS = ("state_dict", "model", "model_state_dict")


@dataclass(frozen=True)
class WeightFile:
    """What a file holds: tensors (perhaps nested beside other plain values) and metadata.

    ``content`` is the file's top-level mapping, ``metadata`` the text fields of a safetensors
    file, decoded where they are JSON, with today's keys (empty for PyTorch files), ``source`` the
    path as text, for messages.
    """

    content: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by today's names: unwrapped (``model``, ``state_dict``), no ``module.``.

        Raises CheckpointError: there is no tensor in the file.
        """
        found: Mapping[str, Any] = self.content
        for wrapper in _WRAPPERS:
            inner = found.get(wrapper)
            if isinstance(inner, Mapping):
                found = inner
                break
        tensors: dict[str, Tensor] = {}
        for name, value in found.items():
            if isinstance(value, np.ndarray):
                value = torch.from_numpy(value)
            if isinstance(value, Tensor):
                # DistributedDataParallel puts this before every name.
                first, dot, rest = str(name).replace("module.", "").partition(".")
                tensors[OLD_TENSORS.get(first, first) + dot + rest] = value
        if not tensors:
            raise CheckpointError(f"{self.source} holds no tensors, only {list(found)[:8]}")
        return tensors


def read_weight_file(path: str | Path) -> WeightFile:
    """Read a safetensors file or a PyTorch file (``.pth``, ``.pt``, ``.tar``), on the CPU.

    PyTorch files are read with ``weights_only``: tensors, NumPy arrays and plain values only,
    never code.

    Raises CheckpointError: the file is missing, broken, empty, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"weight file {path} does not exist")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    # The header of a safetensors file is JSON after an 8-byte length; a pickle or zip is not.
    with path.open("rb") as file:
        if file.read(9)[8:9] == b"{":
            return _read_safetensors(path)
    try:
        with _numpy_arrays_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a weight file that can be read safely: {_first_line(error)}"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} is broken or not a weight file ({_first_line(error)}): download it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, expected named tensors (a state dict)"
        )
    return WeightFile(content, {}, str(path))


def merged(files: Sequence[WeightFile]) -> WeightFile:
    """Several files as one, where a network's weights are spread over them.

    Raises CheckpointError: no file, or two of them hold a tensor of the same name.
    """
    if len(files) == 1:
        return files[0]
    tensors: dict[str, Tensor] = {}
    for file in files:
        state = file.state_dict()
        both = sorted(tensors.keys() & state.keys())
        if both:
            raise CheckpointError(f"{file.source} and a file before it both hold {both[0]}")
        tensors.update(state)
    if not tensors:
        raise CheckpointError("no weight file was given")
    return WeightFile(tensors, {}, " + ".join(file.source for file in files))


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = {key: today(_decoded(t)) for key, t in (file.metadata() or {}).items()}
            return WeightFile(tensors, metadata, str(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is broken or not a safetensors file ({_first_line(error)})"
        ) from error


def _numpy_arrays_allowed() -> AbstractContextManager[Any]:
    """Let arrays through: public PANNs and VGGish files keep some beside their tensors."""
    if not hasattr(torch.serialization, "safe_globals"):  # before torch 2.5
        return nullcontext()
    try:
        from numpy._core import multiarray
    except ImportError:  # NumPy 1
        from numpy.core import multiarray  # type: ignore[no-redef]
    dtypes = {type(np.dtype(name)) for name in ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "?")}
    arrays: list[Any] = [multiarray._reconstruct, np.ndarray, np.dtype, multiarray.scalar, *dtypes]
    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):  # before torch 2.6
        return torch.serialization.safe_globals(arrays)
    # Files written under NumPy 1 name the module by its old path.
    renamed: list[Any] = [
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
    ]
    return torch.serialization.safe_globals(arrays + renamed)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


# Keys of the metadata, at any depth.
OLD_KEYS = {
    "families": "categories",
    "voices": "sound_classes",
    "voice_family": "sound_class_category",
    "voice_category": "sound_class_category",
    "alike": "confusable_groups",
    "lessons": "stages",
    "picture": "image",
}
# First part of a tensor's name.
OLD_TENSORS = {"hearing": "audio_encoder"}


def today(value: Any) -> Any:
    """Metadata (what JSON can hold) with today's keys."""
    if isinstance(value, Mapping):
        return {OLD_KEYS.get(str(key), str(key)): today(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [today(inner) for inner in value]
    return value


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_LISTED = 8


def load_state_dict_strictly(
    module: nn.Module,
    state_dict: Mapping[str, Tensor],
    source: str,
    ignore: Iterable[str] = (),
) -> None:
    """Copy ``state_dict`` into ``module``; nothing is copied unless everything fits.

    ``source`` (a path or a name) opens the error message.  ``ignore`` names keys of
    ``state_dict`` that are known and not wanted (fixed tables that the module computes itself).
    BatchNorm counters (``num_batches_tracked``) may be absent: old files lack them and they
    change nothing in evaluation.

    Raises CheckpointError: a tensor is missing, has another shape, is not a tensor, or is not part
    of the network; the first few are listed with expected and found shape.
    """
    expected = module.state_dict()
    problems: list[str] = []
    for name, own in expected.items():
        found = state_dict.get(name)
        if found is None and not name.endswith("num_batches_tracked"):
            problems.append(f"{name}: expected {_shape(own)}, missing")
        elif found is not None and _shape(found) != _shape(own):
            problems.append(f"{name}: expected {_shape(own)}, found {_shape(found)}")
    known = {*expected, *ignore}
    for name in (name for name in state_dict if name not in known):
        problems.append(f"{name}: not part of the network, found {_shape(state_dict[name])}")
    if problems:
        listed = "; ".join(problems[:_LISTED])
        more = len(problems) - _LISTED
        tail = f"; and {more} more" if more > 0 else ""
        raise CheckpointError(
            f"{source} does not fit {type(module).__name__} "
            f"({len(problems)} of {len(expected)} tensors differ): {listed}{tail}"
        )
    module.load_state_dict({k: v for k, v in state_dict.items() if k in expected}, strict=False)


def _shape(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
