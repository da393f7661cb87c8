"""What a label is: paths such as ``animal/dog``, the same for sounds and for visible things."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import ModelError
from avs_ros.models.labels import audioset, imagenet

# Agreement of two kinds: one inside the other, only the same family, nothing in common.
SAME = 1.0
FAMILY = 0.4
STRANGE = 0.15


@dataclass(frozen=True)
class Kind:
    """Alternatives of path (general to special) and a weight 0..1: how particular a source."""

    paths: tuple[tuple[str, ...], ...]
    weight: float

    @classmethod
    def parse(cls, paths: str, weight: float) -> Kind:
        """Read ``"animal/cat|animal/snake"``."""
        return cls(tuple(tuple(path.split("/")) for path in paths.split("|")), weight)

    @property
    def description(self) -> str:
        """The kind in words, special first: ``"chicken, bird, animal"``."""
        path = self.paths[0]
        return ", ".join(dict.fromkeys((path[-1], *path[-2:-1], path[0])))


def agreement(visual: Kind, audio: Kind) -> float:
    """1 where one kind contains the other, less within a family, least between families."""
    best = STRANGE
    for seen in visual.paths:
        for heard in audio.paths:
            shared = min(len(seen), len(heard))
            if seen[:shared] == heard[:shared]:
                return SAME
            if seen[0] == heard[0]:
                best = FAMILY
    return best


def agreements(visual: Sequence[Kind], audio: Sequence[Kind]) -> NDArray[np.float32]:
    """:func:`agreement` of every pair: float32 [visual, audio]."""
    # Few different kinds, many classes: compare each pair of kinds once.
    table = {
        (seen, heard): agreement(Kind(seen, 1.0), Kind(heard, 1.0))
        for seen in {kind.paths for kind in visual}
        for heard in {kind.paths for kind in audio}
    }
    return np.array([[table[v.paths, a.paths] for a in audio] for v in visual], np.float32)


@lru_cache(maxsize=1)
def audioset_kinds() -> tuple[Kind, ...]:
    """Kind of each of the 527 AudioSet classes."""
    return _by_range("audioset_kinds.csv", len(audioset()))


@lru_cache(maxsize=1)
def imagenet_kinds() -> tuple[Kind, ...]:
    """Kind of each of the 1000 ImageNet classes."""
    return _by_range("imagenet_kinds.csv", len(imagenet()))


@lru_cache(maxsize=1)
def visual_class_kinds() -> dict[str, Kind]:
    """Visual classes outside ImageNet (person, helicopter, whole kinds such as dog), by name."""
    rows = rows_of("visual_classes.csv")
    return {row["name"]: Kind.parse(row["kind"], float(row["weight"])) for row in rows}


def rows_of(file_name: str) -> list[dict[str, str]]:
    """Rows of a table among the package's label files; lines that start with # are comments."""
    text = files("avs_ros").joinpath("data", "labels", file_name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _by_range(file_name: str, count: int) -> tuple[Kind, ...]:
    kinds: list[Kind | None] = [None] * count
    for row in rows_of(file_name):
        kind = Kind.parse(row["kind"], float(row["weight"]))
        for index in range(int(row["first"]), int(row["last"]) + 1):
            kinds[index] = kind
    missing = [index for index, kind in enumerate(kinds) if kind is None]
    if missing:
        raise ModelError(f"{file_name} gives no kind to the classes {missing[:5]}")
    return tuple(kind for kind in kinds if kind is not None)
