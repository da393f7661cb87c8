"""Label similarity M_sim: how well a visible class explains a heard one (C3N, figure 3).

Two forms.  ``plain`` is what the paper describes: the cosine of text embeddings of the two
names.  ``context`` is built here and knows senses: what a thing is and what makes a sound are
compared first (their kinds, in ``labels``), the names refine.  A matrix is read from the formats
that researchers keep it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avs_ros.errors import CheckpointError, ModelError, optional
from avs_ros.models.labels import (
    Kind,
    agreement,
    audioset,
    audioset_kinds,
    imagenet,
    imagenet_kinds,
    rows_of,
    visual_class_kinds,
)
from avs_ros.models.text_embedding import Embedder, embedder

Matrix = NDArray[np.float32]
FORMS = ("plain", "context")
DEFAULT_FORM = "context"


@dataclass(frozen=True)
class LabelSimilarity:
    """``matrix`` float32 [rows, 527]: visual classes by AudioSet classes, and how it was made.

    ``rows`` names the visual classes: the 1000 of ImageNet, then the extra ones.
    """

    matrix: Matrix
    rows: tuple[str, ...]
    form: str
    embedding: str


def load_similarity(source: str | Path | None = None) -> Matrix:
    """Label similarity float32 [1000, 527], ready for :class:`avs_ros.models.c3n.C3N`.

    ``source``: ``"context"`` (default) or ``"plain"``, both shipped with the package; or a file:
    one written by ``avs labels build``, the authors' ``similarity_matrix.h5``, or a ``.npy`` or
    ``.npz`` with one array.

    Raises CheckpointError: the file is missing, unreadable, or not [1000, 527] finite numbers.
    """
    if source is None or source in FORMS:
        return shipped_similarity(str(source or DEFAULT_FORM)).matrix[: len(imagenet())]
    expected = (len(imagenet()), len(audioset()))
    matrix = read_matrix(Path(source))[0][: expected[0]]
    if matrix.shape != expected or not np.isfinite(matrix).all():
        raise CheckpointError(
            f"{source} holds an array {list(matrix.shape)}; a label similarity is "
            f"{list(expected)} finite numbers, ImageNet classes by AudioSet classes"
        )
    return matrix


def shipped_similarity(form: str = DEFAULT_FORM) -> LabelSimilarity:
    """The similarity that the package ships, with its rows outside ImageNet."""
    _check_form(form)
    resource = files("avs_ros").joinpath("data", "labels", f"label_similarity_{form}.safetensors")
    with as_file(resource) as path:
        return read_similarity(path)


def read_similarity(path: Path) -> LabelSimilarity:
    """Read a file written by :func:`write_similarity`; CheckpointError if it is not one."""
    matrix, about = read_matrix(path)
    if not {"rows", "form", "embedding"} <= set(about):
        raise CheckpointError(
            f"{path} is not a label similarity of avs_ros: build one with `avs labels build`"
        )
    rows = tuple(about["rows"].split("\n"))
    return LabelSimilarity(matrix, rows, about["form"], about["embedding"])


def write_similarity(similarity: LabelSimilarity, path: Path) -> None:
    """Write ``similarity`` as float16 safetensors that say how they were made."""
    about = {
        "rows": "\n".join(similarity.rows),
        "form": similarity.form,
        "embedding": similarity.embedding,
    }
    path.write_bytes(save({DATASET: similarity.matrix.astype(np.float16)}, metadata=about))


def build_similarity(
    embedding: str | Embedder,
    form: str = DEFAULT_FORM,
    extra_rows: Sequence[str] | None = None,
    classes: Sequence[int] | None = None,
) -> LabelSimilarity:
    """Build the similarity of the ImageNet (and extra) classes to the 527 AudioSet classes.

    ``embedding``: a name for :func:`text_embedding.embedder`, or the function itself.
    ``extra_rows``: visual classes outside ImageNet (default: all of ``visual_classes.csv``; a
    name that is not there has no kind and is compared by its name alone).  ``classes``: only
    these ImageNet classes, for a spot check; the result then has fewer rows.

    Raises ModelError: unknown form or embedding.
    """
    _check_form(form)
    name = embedding if isinstance(embedding, str) else "custom"
    embed = embedder(embedding) if isinstance(embedding, str) else embedding
    known = visual_class_kinds()
    extra = list(known if extra_rows is None else extra_rows)
    chosen = list(range(len(imagenet())) if classes is None else classes)
    rows = tuple(imagenet().short_names[i] for i in chosen) + tuple(extra)
    if form == "plain":
        visual = [imagenet().names[i] for i in chosen] + extra
        return LabelSimilarity(_cosine(embed, visual, audioset().names), rows, form, name)
    kinds = [imagenet_kinds()[i] for i in chosen] + [known.get(name, _ANY) for name in extra]
    return LabelSimilarity(_context(embed, rows, kinds), rows, form, name)


# A class of unknown kind agrees with nothing in particular; its name decides.
_ANY = Kind((("thing",),), 1.0)


def _context(embed: Embedder, rows: Sequence[str], kinds: Sequence[Kind]) -> Matrix:
    heard = audioset_kinds()
    visual = [
        name.split(" (")[0] + ("" if kind is _ANY else f" ({kind.description})")
        for name, kind in zip(rows, kinds, strict=True)
    ]
    audio = [f"{n} ({k.description})" for n, k in zip(audioset().names, heard, strict=True)]
    # Kinship carries, names refine: a cosine moves the result by a factor of two at most.
    closeness = (1.0 + _cosine(embed, visual, audio).clip(0.0, 1.0)) / 2.0
    visual_weight = np.array([kind.weight for kind in kinds], np.float32)[:, None]
    audio_weight = np.array([kind.weight for kind in heard], np.float32)
    agreed = np.array([[agreement(seen, kind) for kind in heard] for seen in kinds], np.float32)
    kinship = closeness * agreed
    matrix: Matrix = (kinship * visual_weight * audio_weight).astype(np.float32)
    for pair in rows_of("blocked_pairs.csv"):
        if pair["visual"] in rows:
            row = matrix[rows.index(pair["visual"])]
            row[slice(None) if pair["audio"] == "*" else audioset().index(pair["audio"])] = 0.0
    return matrix


def _cosine(embed: Embedder, visual: Sequence[str], audio: Sequence[str]) -> Matrix:
    return np.asarray(embed(visual) @ embed(audio).T, dtype=np.float32)


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise ModelError(f"unknown form {form!r} of the label similarity: {' or '.join(FORMS)}")


# The name inside the authors' HDF5 file, used in ours too.
DATASET = "similarity_matrix"


def read_matrix(path: Path) -> tuple[NDArray[np.float32], dict[str, str]]:
    """The matrix of a .safetensors, .h5/.hdf5, .npz or .npy file, and its text fields.

    Raises CheckpointError: no such file, another format, or no matrix inside. Raises
    MissingDependencyError: HDF5 without h5py.
    """
    if not path.is_file():
        raise CheckpointError(f"label similarity {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), framework="np") as file:
                array, about = file.get_tensor(DATASET), dict(file.metadata() or {})
        else:
            hdf5 = path.suffix in (".h5", ".hdf5")
            array, about = _read_hdf5(path) if hdf5 else _read_numpy(path), {}
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
    h5py = optional("h5py", f"reading {path.name}")
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
