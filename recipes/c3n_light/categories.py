"""The categories that the light model can mark: what shows them and what they sound like.

``light_categories.csv`` beside this file is the table.  A weight file stores what follows from
it, so nothing of this module is needed at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from avs_ros.models.labels import audioset, rows_of, table_rows

# AudioSet's classes of rooms, of noise and of nothing: no thing makes them.
AMBIENT = (
    "Silence", "Sound effect", "Inside, small room", "Inside, large room or hall",
    "Inside, public space", "Outside, urban or manmade", "Outside, rural or natural",
    "Reverberation", "Echo", "Noise", "Environmental noise", "Static", "Mains hum", "Hum",
    "White noise", "Pink noise",
)  # fmt: skip


@dataclass(frozen=True)
class SoundClass:
    """One kind of sound of a category: AudioSet classes that are it (``direct``), that speak for
    its ``branch`` (a wider class) or its ``root`` (the widest).
    """

    name: str
    category: str
    direct: tuple[int, ...]
    branch: tuple[int, ...]
    root: tuple[int, ...]


@dataclass(frozen=True)
class Category:
    """``coco``: names there; ``imagenet``: positions; ``photos``: folders of masked photographs;
    ``held``: whether people hold or play it.
    """

    name: str
    coco: tuple[str, ...]
    imagenet: tuple[int, ...]
    photos: tuple[str, ...]
    held: bool


@lru_cache(maxsize=1)
def sound_classes() -> tuple[SoundClass, ...]:
    """Every sound class, in the table's order.  Raises ValueError for an unknown AudioSet name."""
    return tuple(
        SoundClass(
            row["sound_class"] or row["category"],
            row["category"],
            tuple(sorted(_sounds(row["sounds"]))),
            tuple(_at(name) for name in _parts(row["branch"])),
            tuple(_at(name) for name in _parts(row["root"])),
        )
        for row in _table()
    )


@lru_cache(maxsize=1)
def categories() -> tuple[Category, ...]:
    """Every category once, in the table's order."""
    rows = [row for row in _table() if not row["sound_class"]]
    return tuple(
        Category(
            row["category"],
            tuple(_parts(row["coco"])),
            tuple(sorted(_spans(row["imagenet"]))),
            tuple(_parts(row["photos"])),
            row["held"] == "1",
        )
        for row in rows
    )


def evidence_tables() -> dict[str, Any]:
    """What each sound class is and at which levels of the ontology it is heard: what
    :class:`SoundEvidence` takes.
    """
    place = {category.name: k for k, category in enumerate(categories())}
    sounds = sound_classes()
    return {
        "categories": len(place),
        "sound_classes": [sound.name for sound in sounds],
        "category": [place[sound.category] for sound in sounds],
        "direct": [list(sound.direct) for sound in sounds],
        "branch": [list(sound.branch) for sound in sounds],
        "root": [list(sound.root) for sound in sounds],
        "ambient": [_at(name) for name in AMBIENT],
    }


def _table() -> list[dict[str, str]]:
    file = Path(__file__).with_name("light_categories.csv")
    return table_rows(file.read_text(encoding="utf-8"))


def _parts(cell: str) -> Iterable[str]:
    return (part for part in cell.split("|") if part)


def _sounds(cell: str) -> set[int]:
    """AudioSet classes with all that lies beneath them, those with a minus taken out again."""
    named, without = set[int](), set[int]()
    for part in _parts(cell):
        if part.startswith("-"):
            without |= classes_below(part[1:])
        else:
            named |= classes_below(part)
    return named - without


def _spans(cell: str) -> Iterator[int]:
    for part in _parts(cell):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _plain(name: str) -> str:
    """Names are compared without punctuation: some hold commas."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


@lru_cache(maxsize=1)
def _places() -> dict[str, int]:
    return {_plain(name): index for index, name in enumerate(audioset().names)}


def _at(name: str) -> int:
    place = _places().get(_plain(name))
    if place is None:
        raise ValueError(f"light_categories.csv: AudioSet has no class {name!r}")
    return place


@lru_cache(maxsize=1)
def _ontology() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Identifier of each plain name, and the children of each identifier."""
    children: dict[str, list[str]] = {}
    identifiers: dict[str, str] = {}
    for row in rows_of("audioset_ontology.csv"):
        identifiers[_plain(row["name"])] = row["mid"]
        for parent in row["parents"].split():
            children.setdefault(parent, []).append(row["mid"])
    return identifiers, children


def roots_of_categories() -> list[set[int]]:
    """For each category the widest AudioSet classes that speak for one of its sounds."""
    return [
        {root for sound in sound_classes() if sound.category == kind.name for root in sound.root}
        for kind in categories()
    ]


def classes_below(name: str) -> set[int]:
    """A class of the ontology and all that lies beneath it, where AudioSet's list has it."""
    identifiers, children = _ontology()
    if _plain(name) not in identifiers:
        raise ValueError(f"light_categories.csv: the ontology has no sound {name!r}")
    place = {identifier: index for index, identifier in enumerate(audioset().ids)}
    found: set[int] = set()
    waiting = [identifiers[_plain(name)]]
    while waiting:
        identifier = waiting.pop()
        if identifier in place:
            found.add(place[identifier])
        waiting += children.get(identifier, ())
    return found
