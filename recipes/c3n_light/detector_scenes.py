"""Images with instances for the detector: photographs, and things laid into scenes and hands."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.inference.frames import WholePreparation
from avs_ros.models.light.categories import Category, categories
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.cutouts import as_filmed, behind_hands, on_larger_ground, other_colours
from recipes.c3n_light.masked_photos import (
    MaskedPhoto,
    coco_cuts,
    folder_photos,
    other_samples,
    sample_photos,
)

# What most people play: drawn twice as often as its number of photographs gives.
PLAYED_MOST = (
    "guitar", "violin", "piano", "drum", "flute", "saxophone", "trumpet", "harp", "accordion",
    "gun", "xylophone",
)  # fmt: skip
# Where one of these is detected the sound and the class head say which it is.
LOOK_CONFUSABLE = (
    ("guitar", "banjo", "violin", "cello", "double bass"),
    ("drum", "tambourine", "rattle", "xylophone", "bell"),
    ("flute", "clarinet", "saxophone", "trumpet", "trombone", "tuba", "bagpipes", "didgeridoo"),
    ("piano", "organ"),
)
HELD_OUT_PHOTOS, HELD_OUT_COCO, HELD_OUT_PEOPLE = 15, 25, 15
# ImageNet's samples are held out, in percent, of categories with as many of them as this.
HELD_OUT_SAMPLES, ENOUGH_SAMPLES = 30, 4
# In a category's column of photographs: its ImageNet samples, with the masks found for them.
SAMPLES = "imagenet"
# The row of an instance that is something, but of no category.
THING = -1
# A detection of the public network counts as an instance from this score on.
BELIEVED = 0.35
# Shares of the kinds of scenes: things in hands, things in scenes, two of a kind, one thing; the
# rest as it is.
IN_HANDS, IN_SCENES, TWO, ALONE = 0.32, 0.14, 0.16, 0.26
# Of those with one thing: something of no category, something outlined by hand where it is used.
OTHERS, IN_USE = 0.2, 0.25
# Share of the scenes that look like a film's.
FILMED = 0.6
_HIDDEN = 0.25


@dataclass
class Instance:
    """``row``: the detector's class, THING for none; ``mask``: uint8 ``[H, W]`` 0|1, a box unless
    ``outlined``.
    """

    row: int
    mask: Bytes
    outlined: bool


@dataclass(frozen=True)
class Thing:
    """``name``: of its category, empty for none; ``row``: the detector's class; ``held``: whether
    people hold it.
    """

    name: str
    row: int
    photo: MaskedPhoto
    held: bool


@dataclass(frozen=True)
class Scene:
    """``frame`` uint8 RGB ``[S, S, 3]``; for each instance ``rows``, ``boxes`` (x0, y0, x1, y1 in
    px), ``masks`` float32 ``[S/8, S/8]`` 0..1 and whether it is ``outlined``.
    """

    frame: Bytes
    rows: tuple[int, ...]
    boxes: tuple[Float, ...]
    masks: tuple[Float, ...]
    outlined: tuple[bool, ...]


def detector_rows(coco: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """The detector's classes, COCO's first, and for each category the places of its own.

    The first of these is the category itself, where it is a class; then those that look alike.
    """
    extra = [c.name for c in categories() if c.photos and not c.coco]
    names = (*coco, *extra)
    place = {name: index for index, name in enumerate(names)}
    own = []
    for category in categories():
        rows = [*category.coco, *([category.name] if category.name in extra else [])]
        kin = next((group for group in LOOK_CONFUSABLE if category.name in group), ())
        rows += [name for name in kin if name in extra and name not in rows]
        own.append(tuple(place[name] for name in rows))
    return names, tuple(own)


def held_out(name: str, percent: int) -> bool:
    """Whether training may not see a photograph; the same on every machine."""
    return zlib.crc32(name.encode()) % 100 < percent


def sample_held_out(category: Category, position: int) -> bool:
    """Whether the detector may not see an ImageNet sample: the gate is taught on these."""
    enough = len(category.imagenet) >= ENOUGH_SAMPLES
    return enough and held_out(f"imagenet/{position}", HELD_OUT_SAMPLES)


class DetectorScenes:
    """Draws scenes from the data folder's images.

    ``believed``: what the public detector finds in photographs without instances: path under
    ``images`` -> rows (class, score, x0, y0, x1, y1 in shares).  ``masks``: those of ImageNet's
    samples; ``stamps``: Tux Paint's, None without.
    """

    def __init__(
        self,
        images: Path,
        coco: Sequence[str],
        believed: dict[str, Any],
        masks: Path,
        stamps: Path | None = None,
    ) -> None:
        self._images, self._believed = images, believed
        names, self._rows = detector_rows(coco)
        self._place = {name: index for index, name in enumerate(names)}
        table = json.loads((images / "coco_mini" / "annotations.json").read_text())["images"]
        self._coco = [e for e in table if not held_out(str(e["image_id"]), HELD_OUT_COCO)]
        kinds: dict[str, Category] = {c.name: c for c in categories()}
        # Photographs of each category, and those whose thing is laid into other scenes.
        self._photos: dict[str, list[MaskedPhoto]] = {}
        self._cuts: dict[str, list[MaskedPhoto]] = {}
        for name, category in kinds.items():
            photos = [
                photo
                for photo in folder_photos(images, category, stamps)
                if not held_out(f"{photo.image.parent.name}/{photo.image.name}", HELD_OUT_PHOTOS)
            ]
            if SAMPLES in category.photos:
                seen = [p for p in category.imagenet if not sample_held_out(category, p)]
                own = dataclasses.replace(category, imagenet=tuple(seen))
                photos += sample_photos(images, masks, believed, coco, own)
            cuts = [photo for photo in photos if photo.cut]
            if len(category.coco) == 1 and name != "person":
                cuts += coco_cuts(images / "coco_mini", self._coco, category)
            self._photos |= {name: photos} if photos else {}
            self._cuts |= {name: cuts} if cuts else {}
        self._in_use = {
            name: drawn
            for name, photos in self._photos.items()
            if (drawn := [photo for photo in photos if not photo.cut])
        }
        self._others = list(other_samples(images, masks, tuple(kinds.values())))
        self._held = {name for name in self._cuts if kinds[name].held}
        self._doubled = [name for name, kind in kinds.items() if kind.coco and name in self._cuts]
        self._people = [name for name in believed if name.startswith("people/")]
        self._streets = [name for name in believed if name.startswith("camvid/")]
        self._samples = [
            name
            for name, known in believed.items()
            if name.startswith("imagenet_samples/") and any(one[1] >= BELIEVED for one in known)
        ]
        self._with_people: list[Any] = [
            *self._people,
            *(e for e in self._coco
              if any(s["category"] == "person" and s["area"] > 4000 for s in e["segments"])),
        ]  # fmt: skip

    def draw(self, rng: np.random.Generator, size: int) -> Scene:
        """One augmented scene of ``size`` px, a multiple of 32."""
        kind = rng.random()
        if kind < IN_HANDS:
            image, found = self._background(_one(rng, self._with_people))
            for _ in range(1 + (rng.random() < 0.35)):
                people = [i for i in found
                          if i.row == 0 and i.outlined and i.mask.mean() > 0.015]  # fmt: skip
                thing = self._thing(rng, held=rng.random() < 0.8)
                holder = _one(rng, people).mask if people else None
                image, found = lay(image, found, thing, rng, holder)
        elif kind < IN_HANDS + IN_SCENES:
            image, found = self._background(self._place_for_things(rng))
            for _ in range(int(rng.integers(0, 3))):
                image, found = lay(image, found, self._thing(rng), rng)
        elif kind < IN_HANDS + IN_SCENES + TWO:
            image, found = self._background(self._place_for_things(rng))
            name = _one(rng, self._doubled) if rng.random() < 0.6 else None
            thing, beside = self._thing(rng, name=name), None
            for _ in range(int(rng.integers(2, 4))):
                before = found
                image, found = lay(image, before, thing, rng, beside=beside)
                beside = found[-1].mask if found is not before else beside
                thing = self._thing(rng, name=thing.name)
        elif kind < IN_HANDS + IN_SCENES + TWO + ALONE:
            used = rng.random() < IN_USE and self._in_use
            thing = self._thing(rng, among=self._in_use if used else self._photos)
            image, mask = thing.photo.read()
            if rng.random() < 0.5:
                image, mask = on_larger_ground(image, mask, rng)
            found = [Instance(thing.row, mask, True)]
        else:
            pools = (self._coco, self._people, self._streets, self._samples)
            pool = pools[int(rng.choice(4, p=(0.5, 0.15, 0.15, 0.2)))]
            image, found = self._background(_one(rng, pool))
        return _finished(image, found, rng, size)

    def _place_for_things(self, rng: np.random.Generator) -> Any:
        return _one(rng, self._coco if rng.random() < 0.7 else self._streets)

    def _thing(
        self,
        rng: np.random.Generator,
        *,
        held: bool = False,
        name: str | None = None,
        among: Mapping[str, Sequence[MaskedPhoto]] | None = None,
    ) -> Thing:
        """One of a category, ``name``'s if given; now and then one of none."""
        photos = self._cuts if among is None else among
        if name is None and rng.random() < OTHERS and self._others:
            return Thing("", THING, _one(rng, self._others), False)
        if name is None:
            names = [one for one in photos if not held or one in self._held]
            weights = np.array([self._weight(one, len(photos[one])) for one in names])
            name = str(rng.choice(names, p=weights / weights.sum()))
        if not name:
            return Thing("", THING, _one(rng, self._others), False)
        index = [c.name for c in categories()].index(name)
        return Thing(name, self._rows[index][0], _one(rng, photos[name]), name in self._held)

    @staticmethod
    def _weight(name: str, count: int) -> float:
        return float(min(count, 90) ** 0.5 * (2 if name in PLAYED_MOST else 1))

    def _background(self, entry: Any) -> tuple[Bytes, list[Instance]]:
        """A photograph and what is known of it."""
        if isinstance(entry, str):
            return self._believed_background(entry)
        folder = self._images / "coco_mini"
        image = np.asarray(cv2.imread(str(folder / entry["file"])), np.uint8)
        ids = np.asarray(cv2.imread(str(folder / entry["png"]), cv2.IMREAD_UNCHANGED))
        found = [
            Instance(self._place[s["category"]], (ids == s["id"]).astype(np.uint8), True)
            for s in entry["segments"]
            if s["isthing"] and not s["iscrowd"] and s["category"] in self._place
        ]
        return image, [one for one in found if one.mask.sum() >= 60]

    def _believed_background(self, name: str) -> tuple[Bytes, list[Instance]]:
        path = self._images / name
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        height, width = image.shape[:2]
        person = None
        if name.startswith("people/"):
            own = cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE)
            person = np.asarray(own) > 127
        found = []
        for row, score, x0, y0, x1, y1 in self._believed[name]:
            if score < BELIEVED:
                continue
            mask = np.zeros((height, width), np.uint8)
            mask[int(y0 * height) : int(np.ceil(y1 * height)),
                 int(x0 * width) : int(np.ceil(x1 * width))] = 1  # fmt: skip
            one = Instance(int(row), mask, False)
            if person is not None and one.row == 0:
                inside = (mask * person).astype(np.uint8)
                if inside.sum() > 0.25 * mask.sum():
                    one = Instance(0, inside, True)
            found.append(one)
        return image, found


def _one(rng: np.random.Generator, pool: Sequence[Any]) -> Any:
    return pool[int(rng.integers(len(pool)))]


def lay(
    image: Bytes,
    found: list[Instance],
    thing: Thing,
    rng: np.random.Generator,
    holder: Bytes | None = None,
    beside: Bytes | None = None,
) -> tuple[Bytes, list[Instance]]:
    """Lay a thing on the image (BGR): on ``holder``'s pixels, with hands before it, or ``beside``
    another one and as large.

    Returns image and instances; ``found`` itself where nothing was laid.
    """
    cut, mask = thing.photo.read()
    if mask.sum() < 50:
        return image, found
    if rng.random() < 0.5:
        cut, mask = np.ascontiguousarray(cut[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    height, width = image.shape[:2]
    x, y, w, h = cv2.boundingRect(mask)
    if holder is not None:
        ys, xs = np.nonzero(holder)
        pixel = int(rng.integers(len(xs)))
        at = (xs[pixel] + xs.mean()) / 2, (ys[pixel] + ys.mean()) / 2
        longest = float(max(np.ptp(xs), np.ptp(ys)) * rng.uniform(0.25, 0.9))
    elif beside is not None:
        left, top, wide, high = cv2.boundingRect(beside)
        longest = float(max(wide, high) * rng.uniform(0.7, 1.4))
        away = (wide + longest * w / max(w, h)) / 2 * rng.uniform(0.45, 1.1)
        at = (
            left + wide / 2 + away * rng.choice([-1, 1]),
            top + high / 2 + high * rng.uniform(-0.2, 0.2),
        )
    else:
        at = rng.uniform(0, width), rng.uniform(0.1 * height, height)
        longest = float(np.exp(rng.uniform(np.log(0.12), np.log(0.95)))) * max(height, width)
    scale = longest / max(w, h)
    turn = rng.uniform(-35, 35) if thing.held else rng.uniform(-8, 8)
    place = cv2.getRotationMatrix2D((x + w / 2, y + h / 2), turn, scale)
    place[:, 2] += at[0] - x - w / 2, at[1] - y - h / 2
    own = np.asarray(cv2.warpAffine(mask * 255, place, (width, height)), np.uint8)
    if (own > 127).sum() < max(80, _HIDDEN * mask.sum() * scale**2):
        return image, found
    moved = cv2.warpAffine(other_colours(cut, rng), place, (width, height))
    if holder is not None and rng.random() < 0.5:
        own = behind_hands(own, longest, rng)
    soft = cv2.GaussianBlur(own, (3, 3), 0).astype(np.float32)[..., None] / 255
    image = (image * (1 - soft) + moved * soft).astype(np.uint8)
    new = (own > 127).astype(np.uint8)
    kept = []
    for one in found:
        rest = one.mask * (1 - new)
        if rest.sum() > _HIDDEN * one.mask.sum():
            kept.append(Instance(one.row, rest if one.outlined else one.mask, one.outlined))
    return image, [*kept, Instance(thing.row, new, True)]


def _finished(image: Bytes, found: list[Instance], rng: np.random.Generator, size: int) -> Scene:
    """Cropped, mirrored, recoloured, laid at the top left of a square."""
    height, width = image.shape[:2]
    parts = [(one, one.mask) for one in found]
    if rng.random() < 0.6:
        h, w = (rng.uniform(0.5, 1, 2) * (height, width)).astype(int)
        y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        image = image[y : y + h, x : x + w]
        cropped = [(one, mask[y : y + h, x : x + w]) for one, mask in parts]
        parts = [(one, m) for one, m in cropped if m.sum() > _HIDDEN * one.mask.sum()]
    if rng.random() < 0.5:
        image = image[:, ::-1]
        parts = [(one, mask[:, ::-1]) for one, mask in parts]
    height, width = image.shape[:2]
    stretch = np.exp(rng.uniform(-0.15, 0.15))
    scale = size / max(height, width * stretch)
    w, h = (int(np.clip(round(side * scale), 32, size)) for side in (width * stretch, height))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(image), (w, h), interpolation=how)
    shown = np.asarray(resized, np.uint8)
    shown = as_filmed(shown, rng) if rng.random() < FILMED else shown
    frame = np.full((size, size, 3), WholePreparation.GREY, np.uint8)
    frame[:h, :w] = other_colours(np.asarray(shown, np.uint8), rng)[..., ::-1]
    rows, boxes, masks, outlined = [], [], [], []
    for one, mask in parts:
        mask = np.ascontiguousarray(mask)
        x, y, bw, bh = cv2.boundingRect(mask)
        box = np.array([x, y, x + bw, y + bh], np.float32)
        box *= np.tile([w / mask.shape[1], h / mask.shape[0]], 2).astype(np.float32)
        if min(box[2] - box[0], box[3] - box[1]) < 6:
            continue
        square = np.zeros((size, size), np.float32)
        square[:h, :w] = cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        small = cv2.resize(square, (size // 8, size // 8), interpolation=cv2.INTER_AREA)
        rows.append(one.row)
        boxes.append(box)
        masks.append(np.asarray(small, np.float32))
        outlined.append(one.outlined)
    return Scene(frame, tuple(rows), tuple(boxes), tuple(masks), tuple(outlined))
