"""Photographs x sounds: the cases of the composite benchmark.

Five kinds of case: the sound *matches* something in the picture; it *mismatches* everything in
it; there is *silence*; of *two* things in it one sounds; *both* sound in the same second.  The
same seed gives the same cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import DatasetError
from avs_ros.evaluation.composite_data import Library, Picture, Recording, View
from avs_ros.evaluation.held_out_pairs import held_out
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE

MATCHED, MISMATCHED, SILENT, TWO = "matched", "mismatched", "silence", "two objects"
BOTH = "two sounds"
KINDS = (MATCHED, MISMATCHED, SILENT, TWO, BOTH)
# Joined pairs of photographs for each class, since few photographs hold two classes.
JOINED = 12


@dataclass(frozen=True, eq=False)
class Case:
    """A question to the model.

    ``family``: what sounds (of a mismatch or silence: the largest thing in the picture, which
    tempts); ``other``: the silent thing of a two-object scene, "" else; ``second``: photograph
    to the right of ``picture``, for joined scenes; ``recording``: None for silence; ``also``: what
    ``other`` sounds like at the same time, where it is not silent.
    """

    kind: str
    picture: Picture
    family: str
    recording: Recording | None
    other: str = ""
    second: Picture | None = None
    also: Recording | None = None

    @property
    def name(self) -> str:
        """Picture and sound in words."""
        pictures = self.picture.name + (f" + {self.second.name}" if self.second else "")
        return f"{pictures}, {' + '.join(one.name for one in self.recordings) or 'silence'}"

    @property
    def new(self) -> bool:
        """Whether training never puts this sound beside what is silent in the picture."""
        if self.recording is None or self.kind not in (MISMATCHED, TWO):
            return False
        silent = [self.other] if self.kind == TWO else self.picture.families()
        return any(held_out(name, self.recording.sound) for name in silent)

    def view(self) -> View:
        """The scene's pixels; two photographs side by side where there is a second one."""
        own = self.picture.view()
        return own if self.second is None else join(own, self.second.view())

    @property
    def recordings(self) -> list[Recording]:
        """What is heard, in no order: none, one or two."""
        return [one for one in (self.recording, self.also) if one is not None]

    def sound(self) -> Float:
        """One second at -20 dBFS, float32 ``[16000]``; two sounds are equally loud in it."""
        heard = [one.second() for one in self.recordings]
        if not heard:
            return np.zeros(SAMPLE_RATE, np.float32)
        share = np.float32(np.sqrt(1 / len(heard)))
        return np.asarray(np.clip(share * np.sum(heard, axis=0), -1, 1), np.float32)


def make_cases(library: Library, seed: int = 0, limit: int = 0) -> list[Case]:
    """All cases of a library, kind after kind; ``limit`` (0: none) caps each kind.

    Classes take turns, so a limit leaves none of them out.  Raises DatasetError when nothing in
    the pictures can be asked about.
    """
    rng = np.random.default_rng(seed)
    sounding = {
        family: sounds
        for family in sorted({f for p in library.pictures for f in p.families()})
        if (sounds := library.sounds_of(family))
    }
    if not sounding:
        raise DatasetError(
            f"{library.origin}: no picture shows anything of which there is a sound"
        )

    def some(recordings: Sequence[Recording]) -> Recording:
        return recordings[int(rng.integers(len(recordings)))]

    matched: list[Case] = []
    mismatched: list[Case] = []
    silent: list[Case] = []
    for picture in library.pictures:
        here = picture.families()
        if not here:
            continue
        largest = max(here, key=lambda family: picture.shares[family])
        silent.append(Case(SILENT, picture, largest, None))
        for family in here:
            # A sound that something else in the picture could make has no single answer.
            own = _own_sounds(library, sounding.get(family, []), {*picture.shares} - {family})
            if own:
                matched.append(Case(MATCHED, picture, family, some(own)))
        foreign = library.foreign_to(picture.shares)
        if picture.complete and foreign:
            # The class first: sets of many files must not crowd out the others.
            classes = sorted({recording.sound for recording in foreign})
            sound = classes[int(rng.integers(len(classes)))]
            chosen = some([one for one in foreign if one.sound == sound])
            mismatched.append(Case(MISMATCHED, picture, largest, chosen))
    two = [*_real_pairs(library, sounding, some), *_joined(library, sounding, some, rng)]
    groups = (matched, mismatched, silent, two, list(_both(two)))
    return [case for cases in groups for case in _in_turn(cases, limit, rng)]


def _own_sounds(
    library: Library, sounds: Sequence[Recording], others: Iterable[str]
) -> list[Recording]:
    """Sounds that none of the other things could make."""
    allowed = {id(one) for one in library.foreign_to(others)}
    return [one for one in sounds if id(one) in allowed]


def _real_pairs(
    library: Library,
    sounding: dict[str, list[Recording]],
    some: Callable[[Sequence[Recording]], Recording],
) -> Iterator[Case]:
    for picture in library.pictures:
        here = [family for family in picture.families() if family in sounding]
        for family in here:
            for other in here:
                own = _own_sounds(library, sounding[family], [other])
                if family != other and own:
                    yield Case(TWO, picture, family, some(own), other)


def _joined(
    library: Library,
    sounding: dict[str, list[Recording]],
    some: Callable[[Sequence[Recording]], Recording],
    rng: np.random.Generator,
) -> Iterator[Case]:
    """Two photographs side by side, of one class each; both are asked for."""
    by_family: dict[str, list[Picture]] = {}
    for picture in library.pictures:
        here = picture.families(0.03)
        if len(here) == 1 and set(picture.shares) == set(here) and here[0] in sounding:
            by_family.setdefault(here[0], []).append(picture)
    names = sorted(by_family)
    for family in names if len(names) > 1 else ():
        for _ in range(JOINED):
            rest = [name for name in names if name != family]
            other = rest[int(rng.integers(len(rest)))]
            pair = [by_family[n][int(rng.integers(len(by_family[n])))] for n in (family, other)]
            left, right = pair if rng.random() < 0.5 else pair[::-1]
            for one, silent in ((family, other), (other, family)):
                own = _own_sounds(library, sounding[one], [silent])
                if own:
                    yield Case(TWO, left, one, some(own), silent, right)


def _both(two: Sequence[Case]) -> Iterator[Case]:
    """The scenes of two in which either was asked for, with both of their sounds."""
    asked: dict[tuple[int, int, str, str], Case] = {}
    for case in two:
        scene = id(case.picture), id(case.second)
        twin = asked.pop((*scene, case.other, case.family), None)
        if twin is None:
            asked[(*scene, case.family, case.other)] = case
        else:
            yield replace(twin, kind=BOTH, also=case.recording)


def _in_turn(cases: list[Case], limit: int, rng: np.random.Generator) -> list[Case]:
    by_family: dict[str, list[Case]] = {}
    for index in rng.permutation(len(cases)):
        by_family.setdefault(cases[index].family, []).append(cases[index])
    rows = zip_longest(*(by_family[name] for name in sorted(by_family)))
    ordered = [case for row in rows for case in row if case is not None]
    return ordered[: limit or None]


def join(left: View, right: View) -> View:
    """Two views side by side, the right one scaled to the left one's height."""
    height = left.rgb.shape[0]
    width = max(1, round(right.rgb.shape[1] * height / right.rgb.shape[0]))

    def fitted(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        size = (width, height)
        whole = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(whole > 0)

    rgb = np.hstack([left.rgb, cv2.resize(right.rgb, (width, height))])
    masks = {}
    for name in left.masks.keys() | right.masks.keys():
        first = left.masks.get(name, np.zeros(left.unknown.shape, bool))
        second = right.masks.get(name, np.zeros(right.unknown.shape, bool))
        masks[name] = np.hstack([first, fitted(second)])
    unknown = np.hstack([left.unknown, fitted(right.unknown)])
    return View(np.asarray(rgb, np.uint8), masks, unknown)
