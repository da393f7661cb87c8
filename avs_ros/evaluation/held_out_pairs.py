"""Combinations of something visible and something heard that training never puts together.

Held-out images and recordings say how the model meets new dogs and new sirens; these pairs say
how it meets a dog *beside* a siren for the first time.  They are mismatches (a cat is seen, a
siren is heard: nothing may be marked) and two-object scenes (a cat and a dog are seen, the dog
barks: the cat may not be marked).  Pairs that belong together (a dog and its bark, a guitar and
the person who plays it) are never held out.
"""

from __future__ import annotations

import zlib
from functools import cache

from avs_ros.models.light.vocabulary import CATEGORY_NAMES, OVERLAPS, SOUND_CLASSES, SOUNDS

SEED = 20260
# Sound classes whose sounds the training synthesises, too.
SYNTHESISED = (
    "cat", "dog", "person", "guitar", "violin", "piano", "wind instrument", "drum",
)  # fmt: skip
# Of the kinds of sound that a category does not make.
SHARE = 0.15

_CATEGORY_OF_SOUND_CLASS = {
    sound_class.name: sound_class.category for sound_class in SOUND_CLASSES
}


def kind_of(sound: str) -> str:
    """The sounding class of a sound: the category that makes it, or its own name where none does.

    ``sound``: a class of recordings (a key of ``categories.SOUNDS``) or a sound class (one of
    :data:`SYNTHESISED`).  "dog_bark", "dog" and the synthesised dog are one class: otherwise a
    pair would be held out under one name and trained on under another.
    Raises KeyError for a sound that is neither.
    """
    if sound in SOUNDS:
        is_sound_class = SOUNDS[sound][0]
        return _CATEGORY_OF_SOUND_CLASS[is_sound_class[0]] if is_sound_class else sound
    return _CATEGORY_OF_SOUND_CLASS[sound]


@cache
def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The fixed list of (visible category, sounding class), the same on every machine.

    For each category the same share of the sounding classes that it cannot make, drawn by seed.
    """
    makers: dict[str, set[str]] = {}
    for sound, (is_sound_class, may_be) in SOUNDS.items():
        found = makers.setdefault(kind_of(sound), set())
        found.update(
            _CATEGORY_OF_SOUND_CLASS[sound_class] for sound_class in (*is_sound_class, *may_be)
        )
    for sound_class in SYNTHESISED:
        makers.setdefault(kind_of(sound_class), set()).add(kind_of(sound_class))
    for held, holder in OVERLAPS:
        for kind, maker in ((held, holder), (holder, held)):
            makers.get(CATEGORY_NAMES[kind], set()).add(CATEGORY_NAMES[maker])
    pairs: set[tuple[str, str]] = set()
    for category in CATEGORY_NAMES:
        strange = [kind for kind, made_by in makers.items() if category not in made_by]
        strange.sort(key=lambda kind: zlib.crc32(f"{SEED} {category} {kind}".encode()))
        pairs.update((category, kind) for kind in strange[: round(SHARE * len(strange))])
    return frozenset(pairs)


def held_out(visible: str, sound: str) -> bool:
    """Whether training may not show category ``visible`` while ``sound`` is heard."""
    return (visible, kind_of(sound)) in held_out_pairs()
