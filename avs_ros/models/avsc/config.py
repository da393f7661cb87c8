"""How an AVSC is built, as plain values that a file can hold, the ready configurations, and the
categories that can be segmented: AudioSet's sounds -> K of them, by way of its ontology.

A tag belongs to a category if it is one of the category's own sounds or lies beneath one (Bark ->
dog).  A tag above one may belong to it, the less the further up it is (Domestic animals -> dog,
cat); the ontology's roots (Animal, Music, ...) name everything beneath them and so nothing: they
belong to no category that does not list them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from avs_ros.errors import ModelError
from avs_ros.models.labels import audioset, rows_of

# Weight of a tag one level above a category's own sound; of two levels, its square; and so on.
MAY_BE = 0.3
# Log-affinity of a tag that has nothing to do with a category.
UNRELATED = -7.0
SETS = ("light", "avss", "s4")


@dataclass(frozen=True)
class CategorySet:
    """``categories``: K names.  ``sound_classes``: V names of what is heard,
    ``sound_class_category`` their categories' indices; ``sounds``: for each sound class the
    ontology's names of its own sounds.
    """

    categories: tuple[str, ...]
    sound_classes: tuple[str, ...]
    sound_class_category: tuple[int, ...]
    sounds: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=1)
def ontology() -> dict[str, tuple[str, ...]]:
    """The AudioSet ontology (J. F. Gemmeke et al., ICASSP 2017), CC BY-SA 4.0.

    Each sound and those directly above it: none for a root.
    """
    rows = rows_of("audioset_ontology.csv")
    names = {row["mid"]: row["name"] for row in rows}
    return {row["name"]: tuple(names[mid] for mid in row["parents"].split()) for row in rows}


def ancestors(name: str) -> dict[str, int]:
    """Every sound above ``name`` and how many levels, the shortest way; itself with 0.

    Raises ModelError for a name that the ontology lacks.
    """
    parents = ontology()
    if name not in parents:
        raise ModelError(f"the AudioSet ontology has no sound named {name!r}")
    found = {name: 0}
    waiting = [name]
    for current in waiting:
        for parent in parents[current]:
            if parent not in found:
                found[parent] = found[current] + 1
                waiting.append(parent)
    return found


@lru_cache(maxsize=4)
def category_set(name: str) -> CategorySet:
    """A ready set: "light" (the light models' 29 categories, 35 sound classes), "avss" or "s4".

    The last two are AVSBench-semantic's 70 categories and AVSBench-object's 23 folders.

    Raises ModelError for another name.
    """
    if name not in SETS:
        raise ModelError(f"unknown set of categories {name!r}; known: {', '.join(SETS)}")
    rows = [row for row in rows_of("sounding_categories.csv") if row["set"] == name]
    categories = tuple(dict.fromkeys(row["category"] for row in rows))
    return CategorySet(
        categories,
        tuple(row["sound_class"] or row["category"] for row in rows),
        tuple(categories.index(row["category"]) for row in rows),
        tuple(tuple(row["sounds"].split("|")) for row in rows),
    )


def category_map(sounds: Sequence[Sequence[str]]) -> Tensor:
    """For each list of own sounds, how far each AudioSet class is one of them: ``[V, 527]``, 0..1.

    1 the class is an own sound or lies beneath one; ``MAY_BE ** levels`` it lies above one and is
    no root; 0 neither.  Raises ModelError for names that the ontology lacks.
    """
    parents = ontology()
    above = [ancestors(name) for name in audioset().names]
    table = torch.zeros(len(sounds), len(above))
    for row, own in enumerate(sounds):
        over: dict[str, int] = {}
        for name in own:
            for ancestor, levels in ancestors(name).items():
                over[ancestor] = min(levels, over.get(ancestor, levels))
        for column, name in enumerate(audioset().names):
            if any(sound in above[column] for sound in own):
                table[row, column] = 1.0
            elif name in over and parents[name]:
                table[row, column] = MAY_BE ** over[name]
    return table


def initial_affinity(sound_classes: Sequence[str]) -> Tensor:
    """Log-affinity ``[V, 527]`` of sound classes by name: log of the category map.

    A sound class's own sounds are those the ready sets list for its name, or the ontology's sound
    of this name; a sound class of neither is related to nothing until it has learned.
    """
    sets = sorted(
        map(category_set, SETS), key=lambda known: len({*known.sound_classes} & {*sound_classes})
    )
    listed = {
        sound_class.casefold(): own
        for known in sets  # the one that knows most of them has the last word
        for sound_class, own in zip(known.sound_classes, known.sounds, strict=True)
    }
    named = {name.casefold(): (name,) for name in ontology()}
    own = [listed.get(v.casefold(), named.get(v.casefold(), ())) for v in sound_classes]
    return category_map(own).clamp(min=math.exp(UNRELATED)).log()


@dataclass(frozen=True)
class AVSCConfig:
    """``categories``: names of the K things that may sound.  ``sound_classes``: names of what is
    heard, ``sound_class_category`` the category that makes each (several sound classes may share
    one; without sound classes every category is its own).

    ``visual``, ``audio``: names of the networks.  ``image_size``: side of the square frames, px.
    ``folded``: their batch norm is part of the convolutions.  ``queries``: N.  ``channels``,
    ``layers``, ``heads``, ``feedforward``: of the transformer decoder;
    ``memory_levels``: levels of the pyramid it attends to, stride 32 first.  ``separable``:
    depthwise separable convolutions in the pixel decoder.
    Raises ModelError for values that do not fit together.
    """

    categories: tuple[str, ...]
    sound_classes: tuple[str, ...] = ()
    sound_class_category: tuple[int, ...] = ()
    visual: str = "mobilenetv2_100"
    audio: str = "efficientat_mn04"
    image_size: int = 224
    folded: bool = False
    queries: int = 32
    channels: int = 64
    layers: int = 3
    heads: int = 4
    feedforward: int = 192
    memory_levels: int = 2
    separable: bool = True

    def __post_init__(self) -> None:
        """Check, and give every category its own sound class where none is named."""
        count = len(self.categories)
        if not self.sound_classes:
            object.__setattr__(self, "sound_classes", self.categories)
            object.__setattr__(self, "sound_class_category", tuple(range(count)))
        pointed = self.sound_class_category
        problems = (
            (not count, "there is no category"),
            (len(set(self.categories)) != count, "two categories have the same name"),
            (len(pointed) != len(self.sound_classes), "sound_class_category: one per sound class"),
            (any(not 0 <= k < count for k in pointed), "sound_class_category: 0..K-1"),
            (self.queries < 1, "there is no query"),
            (self.layers < 1, "layers: at least 1"),
            (self.channels % 8 or self.channels % self.heads, "channels: in eights and in heads"),
            (not 1 <= self.memory_levels <= 4, "memory_levels: 1..4"),
        )
        for wrong, description in problems:
            if wrong:
                raise ModelError(f"this AVSC cannot be built: {description}")

    @classmethod
    def of(cls, values: dict[str, Any]) -> AVSCConfig:
        """From its values as a dictionary, also after JSON.  Raises TypeError for unknown names.

        Files of 0.2 named a category for each query, and the class rows of a light form that is
        no more; without those they are read.
        """
        made: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        if "query_category" in made:
            made["queries"] = len(made.pop("query_category"))
        for gone in ("class_rows", "members"):
            if gone in made and not made[gone]:
                del made[gone]
        return cls(**made)


# Ready configuration -> its visual network.
CONFIGURATIONS = {"avsc_pvt": "pvt_v2_b5", "avsc_swin": "swin_base_patch4_window7_224"}


def configuration(name: str) -> AVSCConfig:
    """A ready configuration: "avsc_pvt" or "avsc_swin", AVSS's 70 categories.

    Any value may be changed with ``dataclasses.replace``.  Raises ModelError for an unknown name.
    """
    if name not in CONFIGURATIONS:
        raise ModelError(f"unknown AVSC {name!r}; known: {', '.join(CONFIGURATIONS)}")
    known = category_set("avss")
    return AVSCConfig(
        categories=known.categories,
        sound_classes=known.sound_classes,
        sound_class_category=known.sound_class_category,
        visual=CONFIGURATIONS[name],
        audio="beats",
        queries=100,
        channels=256,
        layers=6,
        heads=8,
        feedforward=1024,
        memory_levels=3,
        separable=False,
    )
