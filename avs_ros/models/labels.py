"""Label vocabularies: the 527 AudioSet classes and the 1000 ImageNet classes, in their order.

And what a label is: *kinds*, paths such as ``animal/dog``, the same for sounds and visible things.
"""

from __future__ import annotations

import csv
import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files

from avs_ros.errors import ModelError


@dataclass(frozen=True)
class Vocabulary:
    """Classes in the order of a network's outputs.

    ``ids`` are the data set's own identifiers (AudioSet MIDs ``/m/...``, WordNet ids ``n...``),
    ``names`` the full published names; an ImageNet name lists synonyms, separated by commas.
    """

    title: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    synonyms: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.short_names)

    def __getitem__(self, index: int) -> str:
        return self.short_names[index]

    @cached_property
    def short_names(self) -> tuple[str, ...]:
        """One name per class for people: the first synonym, never the same twice.

        Where two classes share it (ImageNet's bird and machine "crane"), the id is added.
        """
        if not self.synonyms:
            return self.names
        first = [name.split(",")[0].strip() for name in self.names]
        count = Counter(first)
        return tuple(
            name if count[name] == 1 else f"{name} ({identity})"
            for name, identity in zip(first, self.ids, strict=True)
        )

    def index(self, name: str) -> int:
        """Position of a class, by short name, full name, id, or a synonym that only it has.

        Upper and lower case do not matter.

        Raises ModelError: no class, or more than one, has this name; similar names are listed.
        """
        found = self._positions.get(name.strip().casefold(), ())
        if len(found) == 1:
            return found[0]
        if found:
            candidates = ", ".join(f"{i} ({self.names[i]}, {self.ids[i]})" for i in found)
            raise ModelError(f"{self.title} has several classes named {name!r}: {candidates}")
        close = difflib.get_close_matches(name.casefold(), self._positions, n=3)
        advice = f"; similar: {', '.join(close)}" if close else ""
        raise ModelError(f"{self.title} has no class named {name!r}{advice}")

    @cached_property
    def _positions(self) -> dict[str, tuple[int, ...]]:
        unique: defaultdict[str, set[int]] = defaultdict(set)
        shared: defaultdict[str, set[int]] = defaultdict(set)
        for index, name in enumerate(self.names):
            for key in (self.ids[index], self.short_names[index], name):
                unique[key.casefold()].add(index)
            for synonym in name.split(",") if self.synonyms else ():
                shared[synonym.strip().casefold()].add(index)
        return {key: tuple(found) for key, found in {**shared, **unique}.items()}


@lru_cache(maxsize=1)
def audioset() -> Vocabulary:
    """The 527 AudioSet classes (J. Gemmeke et al., ICASSP 2017; class list CC BY 4.0)."""
    return _vocabulary("AudioSet", "audioset527.csv")


@lru_cache(maxsize=1)
def imagenet() -> Vocabulary:
    """The 1000 ImageNet-1k classes (ILSVRC 2012); names are WordNet synonyms."""
    return _vocabulary("ImageNet-1k", "imagenet1k.csv", synonyms=True)


def _vocabulary(title: str, file_name: str, synonyms: bool = False) -> Vocabulary:
    ids, names, *_ = zip(*(row.values() for row in rows_of(file_name)), strict=True)
    return Vocabulary(title, ids, names, synonyms)


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
    def parse(cls, paths: str, weight: str | float) -> Kind:
        """Read ``"animal/cat|animal/snake"``."""
        return cls(tuple(tuple(path.split("/")) for path in paths.split("|")), float(weight))

    @property
    def description(self) -> str:
        """The kind in words, special first: ``"chicken, bird, animal"``."""
        path = self.paths[0]
        return ", ".join(dict.fromkeys((path[-1], *path[-2:-1], path[0])))


@cache  # few different kinds, many classes
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
    return {row["name"]: Kind.parse(row["kind"], row["weight"]) for row in rows}


def rows_of(file_name: str) -> list[dict[str, str]]:
    """Rows of a table among the package's label files; see :func:`table_rows`."""
    text = files("avs_ros").joinpath("data", "labels", file_name).read_text(encoding="utf-8")
    return table_rows(text)


def table_rows(text: str) -> list[dict[str, str]]:
    """Rows of a CSV table with a header; lines that start with # are comments."""
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _by_range(file_name: str, count: int) -> tuple[Kind, ...]:
    kinds: dict[int, Kind] = {}
    for row in rows_of(file_name):
        own = range(int(row["first"]), int(row["last"]) + 1)
        kinds |= dict.fromkeys(own, Kind.parse(row["kind"], row["weight"]))
    return tuple(kinds[index] for index in range(count))
