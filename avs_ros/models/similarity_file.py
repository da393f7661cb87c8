"""Reading and writing a label similarity matrix in the formats that researchers keep it in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avs_ros.errors import CheckpointError, MissingDependencyError

# The name inside the authors' HDF5 file, used in ours too.
DATASET = "similarity_matrix"


def write_matrix(path: Path, matrix: NDArray[np.float32], about: Mapping[str, str]) -> None:
    """Write ``matrix`` as float16 safetensors with the text fields ``about``."""
    path.write_bytes(save({DATASET: matrix.astype(np.float16)}, metadata=dict(about)))


def read_matrix(path: Path) -> tuple[NDArray[np.float32], dict[str, str]]:
    """The matrix of a .safetensors, .h5/.hdf5, .npz or .npy file, and its text fields.

    Raises:
        CheckpointError: no such file, another format, or no matrix inside.
        MissingDependencyError: HDF5 without h5py.
    """
    if not path.is_file():
        raise CheckpointError(f"label similarity {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), framework="np") as file:
                array, about = file.get_tensor(DATASET), dict(file.metadata() or {})
        elif path.suffix in (".h5", ".hdf5"):
            array, about = _read_hdf5(path), {}
        else:
            array, about = _read_numpy(path), {}
    except (SafetensorError, OSError, ValueError, KeyError, EOFError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a label similarity "
            f"(.safetensors, .h5, .npz or .npy): {error}"
        ) from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise CheckpointError(
            f"{path} holds a {array.dtype} array {list(array.shape)}, expected a float matrix"
        )
    return array.astype(np.float32), about


def _read_hdf5(path: Path) -> NDArray[np.generic]:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            "h5py", f"reading {path.name}", "pip install 'avs_ros[labels]'"
        ) from error
    with h5py.File(path, "r") as file:
        return np.asarray(file[DATASET])


def _read_numpy(path: Path) -> NDArray[np.generic]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if DATASET in loaded or len(loaded.files) == 1:
            return loaded[DATASET if DATASET in loaded else loaded.files[0]]
        raise KeyError(f"several arrays and none named {DATASET}: {', '.join(loaded.files)}")
