"""Questions to a model: held-out pictures x held-out recordings, drawn once for all models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.models.light.families import FAMILY_NAMES, SOUNDS, VOICES
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.distortion import level, noise
from recipes.c3n_light.hearing import last_second
from recipes.c3n_light.held_out_pairs import held_out
from recipes.c3n_light.pictures import DAVIS, IGNORE, Picture, load
from recipes.c3n_light.recordings import RATE, Library

FAMILY_OF_VOICE = {voice.name: voice.family for voice in VOICES}
# Families without recordings of their own are asked with a sound that may be theirs.
STAND_INS = {
    "bus": ("engine_idling",),
    "truck": ("engine_idling", "car_horn"),
    "motorcycle": ("engine_idling",),
    "airplane": ("helicopter",),
}
MATCHED, MISMATCHED, TWO = "matched", "mismatched", "two objects"
SILENT, HISS = "silence", "noise"
# The same with pairs of ``held_out_pairs``.
NEW_MISMATCHED, NEW_TWO = "mismatched, pair held out", "two objects, pair held out"
# Two things, and both sound.
BOTH = "two sounds at once"
JOINED = 80
NEW_JOINED = 60
VISIBLE, CLEARLY = 0.01, 0.03


@dataclass(frozen=True, eq=False)
class Case:
    """One frame and the second of sound that ends at it.

    ``mask``: family mask of ``frame`` (see ``pictures``); ``family``: name of what sounds, "" for
    nothing visible; ``other``: the silent one of two (of BOTH: the second that sounds);
    ``picture``: where the frame is from (cases of one picture resemble each other); ``sound``:
    class of the recording, "" for silence; ``by_hand``: whether people outlined ``family``, not
    the VOC-21 network.
    """

    kind: str
    frame: Bytes
    mask: Bytes
    window: Float
    picture: str
    sound: str = ""
    family: str = ""
    other: str = ""
    by_hand: bool = False


class Composites:
    """Held-out (or, for choosing floors' settings, training) pictures and recordings."""

    def __init__(self, work: Path, seed: int = 11, held: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        table, pictures, masks = load(work)
        self.library = Library(work, held_out=held)
        self.pictures: list[tuple[Picture, Bytes, Bytes]] = [
            (p, np.asarray(pictures[i]), np.asarray(masks[i]))
            for i, p in enumerate(table)
            if p.held_out == held
        ]
        self.sounds_of: dict[str, list[str]] = {name: [] for name in FAMILY_NAMES}
        for sound, (is_voice, _) in SOUNDS.items():
            if sound in self.library.by_sound:
                for voice in is_voice:
                    self.sounds_of[FAMILY_OF_VOICE[voice]].append(sound)
        for family, stand_ins in STAND_INS.items():
            self.sounds_of[family] = [s for s in stand_ins if s in self.library.by_sound]
        if not any(self.sounds_of.values()) or not self.pictures:
            raise DatasetError(f"{work} holds no held-out pictures or sounds; make it anew")

    def families_in(self, mask: Bytes, share: float = VISIBLE) -> list[int]:
        """Indices of the families that cover at least ``share`` of the picture."""
        counts = np.bincount(mask.reshape(-1), minlength=256)[1 : len(FAMILY_NAMES) + 1]
        return [int(k) for k in np.nonzero(counts >= share * mask.size)[0]]

    def window(self, sound: str) -> Float:
        """One second of a random recording of this class, at -20 dBFS."""
        index = int(self.rng.choice(self.library.by_sound[sound]))
        window = last_second(self.library.cut(index, 3.0, self.rng), self.rng)
        return at_level(window)

    def absent_sounds(self, mask: Bytes) -> list[str]:
        """Classes of sound that nothing in the picture could make."""
        present = {FAMILY_NAMES[int(k) - 1] for k in np.unique(mask) if 0 < k < IGNORE}
        out = []
        for sound, (is_voice, may_be) in SOUNDS.items():
            makers = {FAMILY_OF_VOICE[v] for v in (*is_voice, *may_be)}
            makers |= {f for f, sounds in STAND_INS.items() if sound in sounds}
            if sound in self.library.by_sound and not makers & present:
                out.append(sound)
        return out

    def pick(self, sounds: list[str]) -> str:
        """One of them."""
        return str(self.rng.choice(sounds))


def at_level(window: Float) -> Float:
    """The same at -20 dBFS."""
    return np.asarray(np.clip(window * np.float32(0.1 / max(level(window), 1e-5)), -1, 1))


def outlined_by_hand(picture: Picture, family: str) -> bool:
    """Whether people drew this family's mask; the VOC-21 network drew the others."""
    if picture.source == "davis":
        return DAVIS[picture.name.split("/")[0]] == family
    return picture.source == "coco" or (picture.source == "people" and family == "person")


def draw_cases(data: Composites, limit: int = 10_000) -> list[Case]:
    """All cases, kind after kind, at most ``limit`` of each; the same seed gives the same ones."""
    makers: tuple[Callable[[Composites, int], Iterator[Case]], ...] = (
        _matched, _mismatched, _silent, _two_objects, _new_mismatched, _new_two_objects, _both,
    )  # fmt: skip
    return [case for maker in makers for case in maker(data, limit)]


def _matched(data: Composites, limit: int) -> Iterator[Case]:
    pairs = [
        (picture, frame, mask, FAMILY_NAMES[k])
        for picture, frame, mask in data.pictures
        for k in data.families_in(mask)
        if data.sounds_of[FAMILY_NAMES[k]]
    ]
    for picture, frame, mask, name in pairs[:limit]:
        for _ in range(2):
            sound = data.pick(data.sounds_of[name])
            yield Case(
                MATCHED, frame, mask, data.window(sound), picture.name, sound, name,
                by_hand=outlined_by_hand(picture, name),
            )  # fmt: skip


def _mismatched(data: Composites, limit: int) -> Iterator[Case]:
    for picture, frame, mask in data.pictures[:limit]:
        if not data.families_in(mask):
            continue
        for _ in range(2):
            sound = data.pick(data.absent_sounds(mask))
            yield Case(MISMATCHED, frame, mask, data.window(sound), picture.name, sound)


def _silent(data: Composites, limit: int) -> Iterator[Case]:
    for picture, frame, mask in data.pictures[:limit][::2]:
        yield Case(SILENT, frame, mask, np.zeros(RATE, np.float32), picture.name)
        quiet = noise(data.rng, RATE) * np.float32(10 ** data.rng.uniform(-2.5, -1.0))
        yield Case(HISS, frame, mask, quiet, picture.name)


@dataclass(frozen=True, eq=False)
class _Scene:
    """Two families, ``first`` and ``second`` (indices), in one frame."""

    frame: Bytes
    mask: Bytes
    first: int
    second: int
    picture: str


def _two_objects(data: Composites, limit: int) -> Iterator[Case]:
    """Photographs that hold two families, and halves of two that hold one (few hold two)."""
    for scene in _scenes_of_two(data)[:limit]:
        sounds = _own_sounds(data, scene.first, scene.second)
        if sounds:
            yield _two(TWO, data, scene, data.pick(sounds))


def _both(data: Composites, limit: int) -> Iterator[Case]:
    """The same scenes with the sounds of both, equally loud in one second."""
    for scene in _scenes_of_two(data)[:limit]:
        first, second = scene.first, scene.second
        sounds, others = _own_sounds(data, first, second), _own_sounds(data, second, first)
        if sounds and others:
            case = _two(BOTH, data, scene, data.pick(sounds))
            window = case.window + data.window(data.pick(others))
            yield replace(case, window=at_level(window))


def _scenes_of_two(data: Composites) -> list[_Scene]:
    scenes = []
    for picture, frame, mask in data.pictures:
        here = [k for k in data.families_in(mask) if data.sounds_of[FAMILY_NAMES[k]]]
        scenes += [_Scene(frame, mask, a, b, picture.name) for a in here for b in here if a != b]
    single = _single(data)
    for _ in range(JOINED):
        first, second = data.rng.choice(len(single), 2, False)
        if single[first].first != single[second].first:
            scenes.append(_join(single[first], single[second]))
    return scenes


def _own_sounds(data: Composites, family: int, other: int) -> list[str]:
    """Classes of sound that ``family`` (an index) makes and ``other`` does not."""
    shared = set(data.sounds_of[FAMILY_NAMES[other]])
    return [s for s in data.sounds_of[FAMILY_NAMES[family]] if s not in shared]


def _new_mismatched(data: Composites, limit: int) -> Iterator[Case]:
    """A sound of nothing visible that training never put with one of the visible families."""
    for picture, frame, mask in data.pictures[:limit]:
        here = [FAMILY_NAMES[k] for k in data.families_in(mask)]
        sounds = [s for s in data.absent_sounds(mask) if any(held_out(name, s) for name in here)]
        if sounds:
            sound = data.pick(sounds)
            yield Case(NEW_MISMATCHED, frame, mask, data.window(sound), picture.name, sound)


def _new_two_objects(data: Composites, limit: int) -> Iterator[Case]:
    """Two families of which training never showed the silent one with this sound."""
    single, found = _single(data), 0
    for _ in range(50 * NEW_JOINED):
        first, second = (single[i] for i in data.rng.choice(len(single), 2, False))
        name, other = FAMILY_NAMES[first.first], FAMILY_NAMES[second.first]
        sounds = [s for s in _own_sounds(data, first.first, second.first) if held_out(other, s)]
        if name != other and sounds and found < min(limit, NEW_JOINED):
            found += 1
            yield _two(NEW_TWO, data, _join(first, second), data.pick(sounds))


def _two(kind: str, data: Composites, scene: _Scene, sound: str) -> Case:
    return Case(
        kind, scene.frame, scene.mask, data.window(sound), scene.picture, sound,
        FAMILY_NAMES[scene.first], FAMILY_NAMES[scene.second],
    )  # fmt: skip


def _single(data: Composites) -> list[_Scene]:
    """Photographs of one family that has sounds."""
    return [
        _Scene(frame, mask, here[0], here[0], picture.name)
        for picture, frame, mask in data.pictures
        if len(here := data.families_in(mask, CLEARLY)) == 1
        and data.sounds_of[FAMILY_NAMES[here[0]]]
    ]


def _join(left: _Scene, right: _Scene) -> _Scene:
    half = slice(None, None, 2)
    return _Scene(
        np.concatenate([left.frame[:, half], right.frame[:, half]], 1),
        np.concatenate([left.mask[:, half], right.mask[:, half]], 1),
        left.first,
        right.first,
        f"{left.picture} + {right.picture}",
    )
