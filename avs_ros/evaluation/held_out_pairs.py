"""Combinations of something visible and something heard that training never puts together.

Held-out pictures and recordings say how the model meets new dogs and new sirens; these pairs say
how it meets a dog *beside* a siren for the first time.  They are mismatches (a cat is seen, a
siren is heard: nothing may be marked) and two-object scenes (a cat and a dog are seen, the dog
barks: the cat may not be marked).  Pairs that belong together (a dog and its bark, a guitar and
the person who plays it) are never held out.
"""

from __future__ import annotations

import zlib
from functools import cache

from avs_ros.models.light.families import FAMILY_NAMES, OVERLAPS, SOUNDS, VOICES

SEED = 20260
# Voices whose sounds the training synthesises, too.
SYNTHESISED = (
    "cat", "dog", "person", "guitar", "violin", "piano", "wind instrument", "drum",
)  # fmt: skip
# Of the kinds of sound that a family does not make.
SHARE = 0.15

_FAMILY_OF_VOICE = {voice.name: voice.family for voice in VOICES}


def kind_of(sound: str) -> str:
    """The sounding class of a sound: the family that makes it, or its own name where none does.

    ``sound``: a class of recordings (a key of ``families.SOUNDS``) or a voice (one of
    :data:`SYNTHESISED`).  "dog_bark", "dog" and the synthesised dog are one class: otherwise a
    pair would be held out under one name and trained on under another.
    Raises KeyError for a sound that is neither.
    """
    if sound in SOUNDS:
        is_voice = SOUNDS[sound][0]
        return _FAMILY_OF_VOICE[is_voice[0]] if is_voice else sound
    return _FAMILY_OF_VOICE[sound]


@cache
def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The fixed list of (visible family, sounding class), the same on every machine.

    For each family the same share of the sounding classes that it cannot make, drawn by seed.
    """
    makers: dict[str, set[str]] = {}
    for sound, (is_voice, may_be) in SOUNDS.items():
        found = makers.setdefault(kind_of(sound), set())
        found.update(_FAMILY_OF_VOICE[voice] for voice in (*is_voice, *may_be))
    for voice in SYNTHESISED:
        makers.setdefault(kind_of(voice), set()).add(kind_of(voice))
    for held, holder in OVERLAPS:
        for kind, maker in ((held, holder), (holder, held)):
            makers.get(FAMILY_NAMES[kind], set()).add(FAMILY_NAMES[maker])
    pairs: set[tuple[str, str]] = set()
    for family in FAMILY_NAMES:
        strange = [kind for kind, made_by in makers.items() if family not in made_by]
        strange.sort(key=lambda kind: zlib.crc32(f"{SEED} {family} {kind}".encode()))
        pairs.update((family, kind) for kind in strange[: round(SHARE * len(strange))])
    return frozenset(pairs)


def held_out(visible: str, sound: str) -> bool:
    """Whether training may not show family ``visible`` while ``sound`` is heard."""
    return (visible, kind_of(sound)) in held_out_pairs()
