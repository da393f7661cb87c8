"""Photographs x sounds: the cases of the composite benchmark.

Five kinds of case: the sound *matches* something in the image; it *mismatches* everything in
it; there is *silence*; of *two* things in it one sounds; *both* sound in the same second.  The
same seed gives the same cases.

Held-out images and recordings say how the model meets new dogs and new sirens; *held-out pairs*
say how it meets a dog beside a siren for the first time: mismatches (a cat is seen, a siren is
heard: nothing may be marked) and two-object scenes (a cat and a dog are seen, the dog barks: the
cat may not be marked).  Pairs that belong together (a dog and its bark, a guitar and the person
who plays it) are never held out.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, zip_longest
from typing import TypeVar

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.evaluation.composite_data import (
    CATEGORY_OF_SOUND_CLASS,
    CompositeDataset,
    LabelledImage,
    LabelledSound,
    View,
)
from avs_ros.models.light.vocabulary import CATEGORY_NAMES, OVERLAPS, SOUNDS
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE

MATCHED, MISMATCHED, SILENT, TWO = "matched", "mismatched", "silence", "two objects"
BOTH = "two sounds"
KINDS = (MATCHED, MISMATCHED, SILENT, TWO, BOTH)
# Joined pairs of photographs for each class, since few photographs hold two classes.
JOINED = 12
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Case:
    """A question to the model.

    ``category``: the sounding object (of a mismatch or silence: the largest thing in the image,
    which tempts); ``other``: the silent thing of a two-object scene, "" else; ``second``:
    photograph to the right of ``image``, for joined scenes; ``recording``: None for silence;
    ``also``: what ``other`` sounds like at the same time, where it is not silent.
    """

    kind: str
    image: LabelledImage
    category: str
    recording: LabelledSound | None
    other: str = ""
    second: LabelledImage | None = None
    also: LabelledSound | None = None

    @property
    def name(self) -> str:
        """Image and sound in words."""
        images = self.image.name + (f" + {self.second.name}" if self.second else "")
        return f"{images}, {' + '.join(one.name for one in self.recordings) or 'silence'}"

    @property
    def new(self) -> bool:
        """Whether training never puts this sound beside what is silent in the image."""
        if self.recording is None or self.kind not in (MISMATCHED, TWO):
            return False
        silent = [self.other] if self.kind == TWO else self.image.categories()
        return any(held_out(name, self.recording.sound) for name in silent)

    def view(self) -> View:
        """The scene's pixels; two photographs side by side where there is a second one."""
        own = self.image.view()
        return own if self.second is None else join(own, self.second.view())

    @property
    def recordings(self) -> list[LabelledSound]:
        """What is heard, in no order: none, one or two."""
        return [one for one in (self.recording, self.also) if one is not None]

    def sound(self) -> Float:
        """One second at -20 dBFS, float32 ``[16000]``; two sounds are equally loud in it."""
        heard = [one.second() for one in self.recordings]
        if not heard:
            return np.zeros(SAMPLE_RATE, np.float32)
        share = np.float32(np.sqrt(1 / len(heard)))
        return np.asarray(np.clip(share * np.sum(heard, axis=0), -1, 1), np.float32)


def make_cases(dataset: CompositeDataset, seed: int = 0, limit: int = 0) -> list[Case]:
    """All cases of a library, kind after kind; ``limit`` (0: none) caps each kind.

    Classes take turns, so a limit leaves none of them out.  Raises DatasetError when nothing in
    the images can be asked about.
    """
    maker = _Maker(dataset, np.random.default_rng(seed))
    if not maker.sounding:
        raise DatasetError(f"{dataset.origin}: no image shows anything of which there is a sound")
    found = [case for image in dataset.images for case in maker.alone(image)]
    two = [*maker.real_pairs(), *maker.joined()]
    found += [*two, *_both(two)]
    by_kind = ([case for case in found if case.kind == kind] for kind in KINDS)
    return [case for cases in by_kind for case in _in_turn(cases, limit, maker.rng)]


class _Maker:
    """Draws cases; what is drawn depends on the order in which cases are asked for."""

    def __init__(self, dataset: CompositeDataset, rng: np.random.Generator) -> None:
        self.dataset, self.rng = dataset, rng
        shown = sorted({name for image in dataset.images for name in image.categories()})
        self.sounding = {name: made for name in shown if (made := dataset.sounds_of(name))}

    def some(self, listed: Sequence[T]) -> T:
        return listed[int(self.rng.integers(len(listed)))]

    def own_sounds(self, category: str, others: Iterable[str]) -> list[LabelledSound]:
        """Sounds of ``category`` that none of the other things could make."""
        allowed = set(self.dataset.foreign_to(others))
        return [one for one in self.sounding.get(category, []) if one in allowed]

    def alone(self, image: LabelledImage) -> Iterator[Case]:
        """The image in silence, with what it shows, and with what it does not show."""
        here = image.categories()
        if not here:
            return
        largest = max(here, key=lambda category: image.shares[category])
        yield Case(SILENT, image, largest, None)
        for category in here:
            # A sound that something else in the image could make has no single answer.
            if own := self.own_sounds(category, {*image.shares} - {category}):
                yield Case(MATCHED, image, category, self.some(own))
        foreign = self.dataset.foreign_to(image.shares)
        if image.complete and foreign:
            # The class first: sets of many files must not crowd out the others.
            sound = self.some(sorted({recording.sound for recording in foreign}))
            chosen = self.some([one for one in foreign if one.sound == sound])
            yield Case(MISMATCHED, image, largest, chosen)

    def real_pairs(self) -> Iterator[Case]:
        """Photographs that show both."""
        for image in self.dataset.images:
            here = [category for category in image.categories() if category in self.sounding]
            for category, other in permutations(here, 2):
                if own := self.own_sounds(category, [other]):
                    yield Case(TWO, image, category, self.some(own), other)

    def joined(self) -> Iterator[Case]:
        """Two photographs side by side, of one class each; both are asked for."""
        single = self.dataset.single(0.03)
        names = [name for name in single if name in self.sounding]
        for category in names if len(names) > 1 else ():
            for _ in range(JOINED):
                other = self.some([name for name in names if name != category])
                pair = [self.some(single[name]) for name in (category, other)]
                left, right = pair if self.rng.random() < 0.5 else pair[::-1]
                for one, silent in ((category, other), (other, category)):
                    if own := self.own_sounds(one, [silent]):
                        yield Case(TWO, left, one, self.some(own), silent, right)


def _both(two: Sequence[Case]) -> Iterator[Case]:
    """The scenes of two in which either was asked for, with both of their sounds."""
    asked: dict[tuple[int, int, str, str], Case] = {}
    for case in two:
        scene = id(case.image), id(case.second)
        twin = asked.pop((*scene, case.other, case.category), None)
        if twin is None:
            asked[(*scene, case.category, case.other)] = case
        else:
            yield replace(twin, kind=BOTH, also=case.recording)


def _in_turn(cases: list[Case], limit: int, rng: np.random.Generator) -> list[Case]:
    by_category: defaultdict[str, list[Case]] = defaultdict(list)
    for index in rng.permutation(len(cases)):
        by_category[cases[index].category].append(cases[index])
    rows = zip_longest(*(by_category[name] for name in sorted(by_category)))
    ordered = [case for row in rows for case in row if case is not None]
    return ordered[: limit or None]


def join(left: View, right: View) -> View:
    """Two views side by side, the right one scaled to the left one's height."""
    height = left.rgb.shape[0]
    right = right.resized(max(1, round(right.rgb.shape[1] * height / right.rgb.shape[0])), height)
    masks = {
        name: np.hstack([left.mask(name), right.mask(name)])
        for name in left.masks.keys() | right.masks.keys()
    }
    rgb = np.asarray(np.hstack([left.rgb, right.rgb]), np.uint8)
    return View(rgb, masks, np.hstack([left.unknown, right.unknown]))


SEED = 20260
# Sound classes whose sounds the training synthesises, too.
SYNTHESISED = (
    "cat", "dog", "person", "guitar", "violin", "piano", "wind instrument", "drum",
)  # fmt: skip
# Of the kinds of sound that a category does not make.
SHARE = 0.15


def kind_of(sound: str) -> str:
    """The sounding class of a sound: the category that makes it, or its own name where none does.

    ``sound``: a class of recordings (a key of ``categories.SOUNDS``) or a sound class (one of
    :data:`SYNTHESISED`).  "dog_bark", "dog" and the synthesised dog are one class: otherwise a
    pair would be held out under one name and trained on under another.
    Raises KeyError for a sound that is neither.
    """
    if sound in SOUNDS:
        is_sound_class = SOUNDS[sound][0]
        return CATEGORY_OF_SOUND_CLASS[is_sound_class[0]] if is_sound_class else sound
    return CATEGORY_OF_SOUND_CLASS[sound]


@cache
def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The fixed list of (visible category, sounding class), the same on every machine.

    For each category the same share of the sounding classes that it cannot make, drawn by seed.
    """
    makers: defaultdict[str, set[str]] = defaultdict(set)
    for sound, (makes_it, may_be) in SOUNDS.items():
        makers[kind_of(sound)] |= {CATEGORY_OF_SOUND_CLASS[one] for one in (*makes_it, *may_be)}
    for sound in SYNTHESISED:
        makers[kind_of(sound)].add(kind_of(sound))
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
