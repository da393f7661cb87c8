"""Sheets of failures: what was heard, the picture, what was marked, what should have been.

The photographs of a data folder may not be shown to others, so the sheet for the model card is
made of free ones (scikit-image's cat, astronaut, coffee and rocket: CC0 or public domain), made
hard, and synthesised sounds.  With the data folder the worst held-out composites are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avs_ros.errors import MissingDependencyError
from avs_ros.evaluation.composite_generated import generated_library
from avs_ros.inference.segmenter import Segmenter
from avs_ros.media.colours import Colour
from avs_ros.models.light.families import FAMILY_NAMES
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.evaluate.answers import Answer, ask
from recipes.c3n_light.evaluate.cases import (
    FAMILY_OF_VOICE,
    MATCHED,
    MISMATCHED,
    NEW_TWO,
    TWO,
    Case,
    Composites,
    at_level,
    draw_cases,
)
from recipes.c3n_light.evaluate.contestants import Contestant
from avs_ros.report.sheet import Sheet
from recipes.c3n_light.hearing import last_second
from recipes.c3n_light.pictures import IGNORE, SIZE
from recipes.c3n_light.synthetic_sounds import GENERATORS

EACH, TILE_HEIGHT = 5, 160
SOUND_SEEDS = (1, 2)
MARKED, TRUE, UNKNOWN = (255, 120, 30), (40, 200, 120), (150, 150, 150)
# Worse than this is a failure: IoU on a match, marked share, share on the silent one of two.
LOW_IOU, FALSE_AREA, WRONG_SHARE = 0.5, 0.002, 0.2


@dataclass(frozen=True, eq=False)
class Scene:
    """uint8 ``rgb`` ``[S, S, 3]``, its family mask ``[S, S]``, and words."""

    rgb: Bytes
    mask: Bytes
    words: str

    @property
    def families(self) -> list[str]:
        """Names of what is in it."""
        return [FAMILY_NAMES[k - 1] for k in np.unique(self.mask) if 0 < k < IGNORE]


def free_cases() -> list[Case]:
    """Every free scene with every synthesised sound; always the same."""
    sounds = list(_sounds())
    return [_case(scene, name, window) for scene in free_scenes() for name, window in sounds]


def free_scenes() -> Iterator[Scene]:
    """Free photographs: as they are, small, dark, grey and noisy, side by side."""
    views = {}
    for picture in generated_library().pictures:
        view = picture.view()
        ((family, mask),) = view.masks.items()
        number = np.uint8(FAMILY_NAMES.index(family) + 1)
        whole = _square(view.rgb, cv2.INTER_AREA)
        marked = _square(mask.astype(np.uint8) * number, cv2.INTER_NEAREST)
        views[picture.name] = scene = Scene(whole, marked, picture.name)
        yield scene
    for name, background in (("cat 0", "rocket"), ("person 0", "coffee"), ("person 1", "rocket")):
        yield _small(views[name], background)
    for name in ("cat 0", "person 0"):
        scene = views[name]
        yield Scene(np.asarray(scene.rgb * 0.15, np.uint8), scene.mask, f"{name}, dark")
        yield Scene(_noisy(scene.rgb), scene.mask, f"{name}, grey and noisy")
    for left, right in (("cat 0", "person 0"), ("person 1", "cat 1")):
        yield _beside(views[left], views[right])


def worst(answers: Iterable[tuple[Answer, Bytes]], each: int) -> list[tuple[Answer, Bytes]]:
    """The worst failures, ``each`` of every kind; of a picture and sound only the worst one."""
    found: dict[str, list[tuple[float, Answer, Bytes]]] = {}
    for answer, mask in answers:
        bad = badness(answer)
        if bad > 0:
            kind = TWO if answer.case.kind == NEW_TWO else answer.case.kind
            found.setdefault(kind, []).append((bad, answer, mask))
    out: list[tuple[Answer, Bytes]] = []
    for rows in found.values():
        seen: set[tuple[str, str]] = set()
        for _, answer, mask in sorted(rows, key=lambda row: -row[0]):
            # Alike: one sound on views of one photograph.
            key = (answer.case.picture.split(" ")[0], answer.case.family or answer.case.sound)
            if key not in seen and len(seen) < each:
                seen.add(key)
                out.append((answer, mask))
    return out


def badness(answer: Answer) -> float:
    """0 for what is right, up to 1."""
    if answer.iou is not None:
        return 1 - answer.iou if answer.iou < LOW_IOU else 0.0
    if answer.case.kind in (TWO, NEW_TWO):
        if answer.right is None:
            return 0.5  # nothing marked: a miss, but nothing wrong
        return 1 - answer.right if 1 - answer.right > WRONG_SHARE else 0.0
    return answer.area if answer.area > FALSE_AREA else 0.0


def show_failures(
    data: Path | None,
    work: Path,
    contestant: Contestant,
    output: Path,
    say: Callable[[str], None],
) -> int:
    """Write the sheet (``data`` None: of free pictures); returns the count of failures on it."""
    cases = free_cases() if data is None else draw_cases(Composites(work))
    model = contestant.make()
    try:
        rows = worst(_told(model, cases, say), EACH)
    finally:
        model.close()
    sheet = Sheet(TILE_HEIGHT)
    for answer, mask in rows:
        words = describe(answer)
        say(words)
        sheet.add(_tiles(answer.case, mask), words)
    sheet.write(output)
    say(f"wrote {output}" + ("" if data is None else ": for looking at, not to be passed on"))
    return len(rows)


def describe(answer: Answer) -> str:
    """A failure in one line."""
    case = answer.case
    did = f"marked {', '.join(answer.labels) or 'something'} ({answer.area:.0%} of the picture)"
    if answer.empty:
        did = "marked nothing"
    heard = case.sound or "silence"
    if case.kind == MATCHED:
        return f"{case.picture}; heard: {heard}; {did}, IoU {answer.iou:.2f}"
    if case.other:
        share = "" if answer.right is None else f", {answer.right:.0%} of it on the {case.family}"
        return f"{case.picture}; heard: {heard}, {case.other} is silent; {did}{share}"
    return f"{case.picture}; heard: {heard} (nothing visible makes it); {did}"


def _told(
    model: Segmenter, cases: Sequence[Case], say: Callable[[str], None]
) -> Iterator[tuple[Answer, Bytes]]:
    for number, found in enumerate(ask(model, cases), 1):
        if number % 200 == 0:
            say(f"  {number} of {len(cases)} cases")
        yield found


def _sounds() -> Iterator[tuple[str, Float]]:
    for name, make in GENERATORS.items():
        for seed in SOUND_SEEDS:
            rng = np.random.default_rng(seed)
            yield name, at_level(last_second(make(rng, 2.0), rng))


def _case(scene: Scene, sound: str, window: Float) -> Case:
    here, family = scene.families, FAMILY_OF_VOICE[sound]
    if family not in here:
        return Case(MISMATCHED, scene.rgb, scene.mask, window, scene.words, sound)
    others = [name for name in here if name != family]
    kind, other = (TWO, others[0]) if others else (MATCHED, "")
    return Case(kind, scene.rgb, scene.mask, window, scene.words, sound, family, other)


def _small(scene: Scene, background: str) -> Scene:
    """The thing alone, a quarter as wide, on another photograph."""
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-image", "The sheet of failures", "pip install scikit-image"
        ) from error
    rgb = _square(np.asarray(getattr(data, background)(), np.uint8), cv2.INTER_AREA)
    side = SIZE // 4
    at = np.s_[SIZE // 2 : SIZE // 2 + side, SIZE // 3 : SIZE // 3 + side]
    small = cv2.resize(scene.rgb, (side, side), interpolation=cv2.INTER_AREA)
    cut = cv2.resize(scene.mask, (side, side), interpolation=cv2.INTER_NEAREST)
    rgb[at] = np.where(cut[..., None] > 0, small, rgb[at])
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[at] = cut
    return Scene(rgb, mask, f"{scene.words}, small, on {background}")


def _noisy(rgb: Bytes) -> Bytes:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 40, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)


def _beside(left: Scene, right: Scene) -> Scene:
    half = slice(None, None, 2)
    rgb = np.concatenate([left.rgb[:, half], right.rgb[:, half]], axis=1)
    mask = np.concatenate([left.mask[:, half], right.mask[:, half]], axis=1)
    return Scene(rgb, mask, f"{left.words} beside {right.words}")


def _square(picture: Bytes, how: int) -> Bytes:
    return np.asarray(cv2.resize(picture, (SIZE, SIZE), interpolation=how), np.uint8)


def _tiles(case: Case, marked: Bytes) -> list[Bytes]:
    """Picture, what was marked, what sounds (grey: nobody knows)."""
    family = FAMILY_NAMES.index(case.family) + 1 if case.family else -1
    true = _tinted(case.frame, case.mask == family, TRUE)
    return [
        case.frame,
        _tinted(case.frame, marked > 0, MARKED),
        _tinted(true, case.mask == IGNORE, UNKNOWN),
    ]


def _tinted(rgb: Bytes, on: np.ndarray, colour: Colour) -> Bytes:
    out = rgb.copy()
    out[on] = (0.4 * out[on] + 0.6 * np.array(colour)).astype(np.uint8)
    return out
