"""Images with instances for the detector: photographs, and things laid into scenes and hands."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.segmentation import Bytes
from recipes.c3n_light.categories import Category, categories
from recipes.c3n_light.cutouts import on_larger_ground
from recipes.c3n_light.laying import THING, Instance, Scene, Thing, finished, lay
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
# CamVid's labels of what the public detector finds in its frames.
CAMVID_LABELS = {"car": (8,), "person": (9, 10)}
# Of the scenes that the mask head is taught on.
AS_IT_IS = 0.5
# In a category's column of photographs: its ImageNet samples, with the masks found for them.
SAMPLES = "imagenet"
# A detection of the public network counts as an instance from this score on.
BELIEVED = 0.35
# Shares of the kinds of scenes: things in hands, things in scenes, two of a kind, one thing; the
# rest as it is.
IN_HANDS, IN_SCENES, TWO, ALONE = 0.32, 0.14, 0.16, 0.26
# Of those with one thing: something of no category, something outlined by hand where it is used.
OTHERS, IN_USE = 0.2, 0.25


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


def photo_held_out(photo: MaskedPhoto) -> bool:
    """The same of a photograph of a category's folders."""
    return held_out(f"{photo.image.parent.name}/{photo.image.name}", HELD_OUT_PHOTOS)


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
                if not photo_held_out(photo)
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

    def draw_outlined(self, rng: np.random.Generator, size: int) -> Scene:
        """As :meth:`draw`, but half of them are photographs as they are, of outlined objects."""
        if rng.random() < AS_IT_IS:
            pools = (self._coco, self._people, self._streets)
            pool = pools[int(rng.choice(3, p=(0.65, 0.25, 0.1)))]
            return finished(*self._background(_one(rng, pool or self._coco)), rng, size)
        return self.draw(rng, size)

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
        return finished(image, found, rng, size)

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
            name = ""
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
        outlines = self._outlines(path)
        found = []
        for row, score, x0, y0, x1, y1 in self._believed[name]:
            if score < BELIEVED:
                continue
            mask = np.zeros((height, width), np.uint8)
            mask[int(y0 * height) : int(np.ceil(y1 * height)),
                 int(x0 * width) : int(np.ceil(x1 * width))] = 1  # fmt: skip
            one = Instance(int(row), mask, False)
            if one.row in outlines:
                inside = (mask * outlines[one.row]).astype(np.uint8)
                if inside.sum() > 0.25 * mask.sum():
                    one = Instance(one.row, inside, True)
            found.append(one)
        return image, found

    def _outlines(self, path: Path) -> dict[int, Any]:
        """Rows whose objects an image's label file outlines -> where they are."""
        if path.parent.name == "people":
            person = np.asarray(cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_GRAYSCALE))
            return {self._place["person"]: person > 127}
        if path.parent.name == "camvid":
            labels = np.asarray(cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_UNCHANGED))
            kinds = CAMVID_LABELS.items()
            return {self._place[name]: np.isin(labels, values) for name, values in kinds}
        return {}


def _one(rng: np.random.Generator, pool: Sequence[Any]) -> Any:
    return pool[int(rng.integers(len(pool)))]
