"""Which names say it right: what may be *seen* sounding, and what may be *heard*.

Truths, images and sounds are named from different lists: a data set says ``dog_barking``, a
model sees a ``beagle`` (ImageNet) and hears ``Bark`` (AudioSet).  Names are compared in lower case
with ``_`` as a space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from avs_ros.errors import DatasetError
from avs_ros.evaluation.run_files import read_json
from avs_ros.models.labels import audioset, imagenet, rows_of
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES, SOUND_CLASSES, SOUNDS


def plain(name: str) -> str:
    """The form in which names are compared."""
    return " ".join(name.replace("_", " ").casefold().split())


@cache
def visible_names(category: str) -> frozenset[str]:
    """Names of the things of a category: its own, COCO's, VOC's and ImageNet's."""
    names = {category}
    classes = imagenet()
    for one in CATEGORIES:
        if one.name == category:
            names |= {*one.coco, one.voc}
            for row in one.imagenet:
                full = classes.names[row]
                names |= {full, classes[row], *full.split(",")}
    return frozenset(plain(name) for name in names if name)


@cache
def heard_names(category: str) -> frozenset[str]:
    """Names of the sounds that a category makes: of its sound classes, and AudioSet's."""
    heard = audioset()
    own = [sound_class for sound_class in SOUND_CLASSES if sound_class.category == category]
    names = [name for one in own for name in (one.name, *map(heard.__getitem__, one.direct))]
    return frozenset(map(plain, names))


@cache
def categories_of(name: str) -> frozenset[str]:
    """Categories that a truth of this name may mean; empty for a name that nobody knows."""
    wanted = plain(name)
    rows = rows_of("avsbench_s4.csv")
    sound_classes = {row["sound_class"] for row in rows if plain(row["category"]) == wanted}
    sound_classes.update(*(makers for one, (makers, _) in SOUNDS.items() if plain(one) == wanted))
    found = {
        sound_class.category for sound_class in SOUND_CLASSES if sound_class.name in sound_classes
    }
    found |= {one for one in CATEGORY_NAMES if wanted in visible_names(one) | heard_names(one)}
    return frozenset(found)


@dataclass(frozen=True)
class LabelSets:
    """``visible``, ``audible``: truth -> names that are right beside those known anyway."""

    visible: Mapping[str, frozenset[str]] = field(default_factory=dict)
    audible: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def sees(self, labels: Iterable[str], truths: Iterable[str]) -> bool:
        """Whether one of ``labels`` names a thing that one of ``truths`` may be."""
        given = {plain(label) for label in labels}
        return any(
            given & _names(truth, self.visible.get(plain(truth), ()), visible_names)
            for truth in truths
        )

    def hears(self, label: str, truths: Iterable[str]) -> bool:
        """Whether ``label`` names a sound that one of ``truths`` may make."""
        return any(
            plain(label) in _names(truth, self.audible.get(plain(truth), ()), heard_names)
            for truth in truths
        )


def _names(
    truth: str, given: Iterable[str], known: Callable[[str], frozenset[str]]
) -> frozenset[str]:
    categories = (known(category) for category in categories_of(truth))
    return frozenset({plain(truth), *given}).union(*categories)


def read_label_sets(path: Path) -> LabelSets:
    """``{"name of the truth": {"visible": [...], "audible": [...]}}``, either list optional.

    Raises DatasetError for anything else.
    """
    table = read_json(path)
    form = 'expected {"name": {"visible": [names], "audible": [names]}}'
    if not isinstance(table, dict):
        raise DatasetError(f"{path}: {form}")
    sets: dict[str, dict[str, frozenset[str]]] = {"visible": {}, "audible": {}}
    for name, lists in table.items():
        if not isinstance(lists, dict) or not {*lists} <= {*sets}:
            raise DatasetError(f"{path}, {name!r}: {form}")
        for kind, names in lists.items():
            if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
                raise DatasetError(f"{path}, {name!r}: {form}")
            sets[kind][plain(name)] = frozenset(plain(one) for one in names)
    return LabelSets(sets["visible"], sets["audible"])


def names_it(labels: Iterable[str], category: str) -> bool:
    """Whether one of ``labels`` is a name of ``category``: of the thing or of its sound."""
    accepted = visible_names(category) | heard_names(category)
    return any(plain(label) in accepted for label in labels)
