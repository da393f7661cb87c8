"""Images with masks and labelled sounds, from a folder or made on the spot.

The classes are the categories of :mod:`avs_ros.models.light.vocabulary`, which say what a sound
may come from.  What is held apart goes by the image's name and by whole sound recordings, never by
chance, and is what the training of the bundled model leaves out: its scores are on things that
it has never met.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soxr
from numpy.typing import NDArray

from avs_ros.errors import DatasetError, ParameterError
from avs_ros.evaluation.boxes import read_table
from avs_ros.evaluation.clip_arrays import read_image, read_sound
from avs_ros.evaluation.run_files import read_json
from avs_ros.models.light.vocabulary import CATEGORIES, CATEGORY_NAMES, SOUND_CLASSES, SOUNDS
from avs_ros.segmentation import Bytes, Float
from avs_ros.sound import SAMPLE_RATE

LEVEL = 0.1  # RMS, -20 dBFS
SPLITS = ("validation", "training", "all")
SOUND_SETS = ("esc10", "urbansound8k", "animals", "speech", "baby")
# Smallest share of the image that counts as showing something.
VISIBLE = 0.01
# Folds of the sounds that are held apart; for urbansound8k a hash of the recording says it.
HELD_FOLD = {"esc10": "4", "animals": "5", "speech": "4", "baby": "2"}
# Categories without sounds of their own get what may be theirs.
STAND_INS: dict[str, tuple[str, ...]] = {
    "bus": ("engine_idling",),
    "truck": ("engine_idling", "car_horn"),
    "motorcycle": ("engine_idling",),
    "airplane": ("helicopter",),
}
CATEGORY_OF_SOUND_CLASS = {
    sound_class.name: sound_class.category for sound_class in SOUND_CLASSES
}
CATEGORY_OF_COCO = {name: category.name for category in CATEGORIES for name in category.coco}


@dataclass(frozen=True, eq=False)
class View:
    """An image in memory: ``rgb`` uint8 ``[H, W, 3]``; ``masks``: category -> bool ``[H, W]``.

    ``unknown``: bool ``[H, W]``, pixels of which nobody said what they are; not scored.
    """

    rgb: Bytes
    masks: dict[str, NDArray[np.bool_]]
    unknown: NDArray[np.bool_]

    def mask(self, category: str) -> NDArray[np.bool_]:
        """Of that category; empty where it is not shown."""
        return self.masks.get(category, np.zeros(self.unknown.shape, bool))

    def part(self, area: tuple[slice, slice]) -> View:
        """A window of it."""
        masks = {name: mask[area] for name, mask in self.masks.items()}
        return View(np.ascontiguousarray(self.rgb[area]), masks, self.unknown[area])

    def resized(self, width: int, height: int, how: int = cv2.INTER_LINEAR) -> View:
        """At another size, px; ``how``: OpenCV's interpolation of the image."""

        def fitted(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
            whole = mask.astype(np.uint8)
            size = (width, height)
            return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_NEAREST) > 0)

        rgb = np.asarray(cv2.resize(self.rgb, (width, height), interpolation=how), np.uint8)
        masks = {name: fitted(mask) for name, mask in self.masks.items()}
        return View(rgb, masks, fitted(self.unknown))


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """``shares``: category -> share of the image; ``complete``: everything in it is annotated."""

    name: str
    shares: dict[str, float]
    complete: bool
    view: Callable[[], View]

    def categories(self, share: float = VISIBLE) -> list[str]:
        """Categories that cover at least ``share`` of the image, in order of name."""
        return sorted(name for name, part in self.shares.items() if part >= share)


@dataclass(frozen=True, eq=False)
class LabelledSound:
    """A sound: its class (``sound``, key of ``SOUNDS``) and float32 ``[n]`` mono at 16 kHz."""

    name: str
    sound: str
    read: Callable[[], Float]

    def second(self) -> Float:
        """Its loudest second (or all of it and silence before) at -20 dBFS: float32 ``[16000]``.

        Raises DatasetError if it is silent.
        """
        whole = self.read()
        if len(whole) < SAMPLE_RATE:
            whole = np.pad(whole, (SAMPLE_RATE - len(whole), 0))
        total = np.concatenate([[0.0], np.cumsum(np.square(whole, dtype=np.float64))])
        starts = np.arange(0, len(whole) - SAMPLE_RATE + 1, SAMPLE_RATE // 8)
        power = total[starts + SAMPLE_RATE] - total[starts]
        best = int(starts[power.argmax()])
        rms = float(np.sqrt(power.max() / SAMPLE_RATE))
        if rms < 1e-5:
            raise DatasetError(f"{self.name} holds nothing but silence")
        part = whole[best : best + SAMPLE_RATE] * np.float32(LEVEL / rms)
        return np.asarray(np.clip(part, -1, 1), np.float32)


@dataclass(frozen=True, eq=False)
class CompositeDataset:
    """What a benchmark is made of; ``origin`` says where it is from."""

    origin: str
    images: Sequence[LabelledImage]
    recordings: Sequence[LabelledSound]

    def sounds_of(self, category: str) -> list[LabelledSound]:
        """Recordings that such a thing makes."""
        return [r for r in self.recordings if category in makers(r.sound)]

    def single(self, share: float) -> dict[str, list[LabelledImage]]:
        """Category -> images in which it alone covers ``share`` or more, and nothing else is."""
        found: dict[str, list[LabelledImage]] = {}
        for image in self.images:
            here = image.categories(share)
            if len(here) == 1 and set(image.shares) == set(here):
                found.setdefault(here[0], []).append(image)
        return dict(sorted(found.items()))

    def foreign_to(self, categories: Iterable[str]) -> list[LabelledSound]:
        """Recordings that none of ``categories`` could make, nor be taken for."""
        here = set(categories)
        return [r for r in self.recordings if not here & (makers(r.sound) | likely(r.sound))]


def makers(sound: str) -> set[str]:
    """Categories that make this class of sound."""
    found = {CATEGORY_OF_SOUND_CLASS[sound_class] for sound_class in SOUNDS[sound][0]}
    return found | {category for category, sounds in STAND_INS.items() if sound in sounds}


def likely(sound: str) -> set[str]:
    """Categories that may be taken for the source of this class of sound."""
    return {CATEGORY_OF_SOUND_CLASS[sound_class] for sound_class in SOUNDS[sound][1]}


def image_held(source: str, name: str) -> bool:
    """Whether an image of ``coco`` or ``people`` is held apart from training."""
    return zlib.crc32(name.encode()) % 100 < {"coco": 25, "people": 15}[source]


def sound_held(group: str, row: dict[str, str]) -> bool:
    """Whether a sound file (row of its table) is held apart: with all of its recording."""
    if group in HELD_FOLD:
        return row["fold"] == HELD_FOLD[group]
    found = re.search(r"_(\d+)-", row["file"])
    recording = found.group(1) if found else row["file"]
    return zlib.crc32(recording.encode()) % 100 < 20


def read_dataset(root: Path, split: str = "validation") -> CompositeDataset:
    """The folder's images and sounds of one split.

    Layout: ``images/coco_mini`` (``annotations.json``, photographs, segment masks) and
    ``images/people`` (``N.jpg`` with ``N.png``), either of them optional, and ``audio/<set>.csv``
    (columns ``file``, ``class``, ``fold``) with the files it names.  Raises DatasetError when
    there are no images or no sounds, ParameterError for an unknown split.
    """
    if split not in SPLITS:
        raise ParameterError(f"there is no split {split!r}; use one of {', '.join(SPLITS)}")
    folder = root / "images"
    images = [
        image for image in (*_coco(folder / "coco_mini"), *_people(folder / "people"))
        if split == "all" or image_held(*image.name.split("/")) == (split == "validation")
    ]
    recordings = [
        LabelledSound(row["file"], row["class"], partial(_resampled, root / "audio" / row["file"]))
        for group in SOUND_SETS
        if (table := root / "audio" / f"{group}.csv").is_file()
        for _, row in read_table(table, ("file", "class", "fold"))
        if row["class"] in SOUNDS
        and (split == "all" or sound_held(group, row) == (split == "validation"))
    ]
    if not images or not recordings:
        raise DatasetError(
            f"{root} has {len(images)} images and {len(recordings)} sounds of the split "
            f"{split!r}; expected images/coco_mini or images/people, and audio/*.csv"
        )
    return CompositeDataset(f"{root.name}, split {split}", images, recordings)


def _resampled(path: Path) -> Float:
    samples, rate = read_sound(path)
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32)


def _coco(root: Path) -> list[LabelledImage]:
    if not (root / "annotations.json").is_file():
        return []
    found = []
    for entry in read_json(root / "annotations.json")["images"]:
        whole = entry["width"] * entry["height"]
        shares: dict[str, float] = {}
        for segment in entry["segments"]:
            category = CATEGORY_OF_COCO.get(segment["category"])
            if category and not segment["iscrowd"]:
                shares[category] = shares.get(category, 0.0) + segment["area"] / whole
        # Only panoptic annotation names everything; and a crowd is there, if not scored.
        complete = entry["kind"] == "panoptic"
        for segment in entry["segments"]:
            if segment["iscrowd"] and segment["category"] in CATEGORY_OF_COCO:
                shares.setdefault(CATEGORY_OF_COCO[segment["category"]], 0.0)
        name, view = f"coco/{entry['image_id']}", partial(_coco_view, root, entry)
        found.append(LabelledImage(name, shares, complete, view))
    return found


def _coco_view(root: Path, entry: Any) -> View:
    ids = read_image(root / entry["png"], cv2.IMREAD_UNCHANGED)
    masks = {name: np.zeros(ids.shape, bool) for name in CATEGORY_NAMES}
    unknown = (ids == 0) if entry["kind"] != "panoptic" else np.zeros(ids.shape, bool)
    for segment in entry["segments"]:
        if category := CATEGORY_OF_COCO.get(segment["category"]):
            own = unknown if segment["iscrowd"] else masks[category]
            own |= ids == segment["id"]
    seen = {name: mask for name, mask in masks.items() if mask.any()}
    return View(read_image(root / entry["file"]), seen, unknown)


def _people(root: Path) -> list[LabelledImage]:
    # What else is in these photographs nobody wrote down.
    return [
        LabelledImage(f"people/{path.stem}", {"person": 1.0}, False, partial(_person_view, path))
        for path in sorted(root.glob("*.jpg"))
    ]


def _person_view(path: Path) -> View:
    mask = read_image(path.with_suffix(".png"), cv2.IMREAD_GRAYSCALE) > 127
    return View(read_image(path), {"person": mask}, np.zeros(mask.shape, bool))
