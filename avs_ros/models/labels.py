"""Label vocabularies: the 527 AudioSet classes and the 1000 ImageNet classes, in their order."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
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

        Raises:
            ModelError: no class, or more than one, has this name; similar names are listed.
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
        unique: dict[str, tuple[int, ...]] = {}
        for index in range(len(self)):
            for key in (self.ids[index], self.short_names[index], self.names[index]):
                unique[key.casefold()] = tuple({*unique.get(key.casefold(), ()), index})
        if not self.synonyms:
            return unique
        shared: dict[str, tuple[int, ...]] = {}
        for index, name in enumerate(self.names):
            for synonym in name.split(","):
                key = synonym.strip().casefold()
                shared[key] = tuple({*shared.get(key, ()), index})
        return {**shared, **unique}


@lru_cache(maxsize=1)
def audioset() -> Vocabulary:
    """The 527 AudioSet classes (J. Gemmeke et al., ICASSP 2017; class list CC BY 4.0)."""
    ids, names = _columns("audioset527.csv")
    return Vocabulary("AudioSet", ids, names)


@lru_cache(maxsize=1)
def imagenet() -> Vocabulary:
    """The 1000 ImageNet-1k classes (ILSVRC 2012); names are WordNet synonyms."""
    ids, names = _columns("imagenet1k.csv")
    return Vocabulary("ImageNet-1k", ids, names, synonyms=True)


def _columns(file_name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = files("avs_ros").joinpath("data", "labels", file_name).read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))[1:]
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)
