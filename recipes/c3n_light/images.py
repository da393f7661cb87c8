"""Images with category masks, gathered once into memory-mapped arrays.

Masks are uint8 ``[H, W]``: 0 nothing that sounds, ``k + 1`` category k, 255 unknown (not scored).
Where a data set names only some objects, the VOC-21 network (a teacher) fills in the rest.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.models.light.vocabulary import CATEGORIES
from avs_ros.segmentation import Bytes
from recipes.c3n_light.baselines import VOC_FILE, VocNetwork

SIZE = 288
IGNORE = 255
OUTLINES = Path(__file__).resolve().parent / "outlines.json"
DAVIS = {
    "blackswan": "bird",
    "car-roundabout": "car",
    "drift-chicane": "car",
    "drift-straight": "car",
    "libby": "dog",
    "breakdance": "person",
    "dance-twirl": "person",
    "parkour": "person",
}


@dataclass(frozen=True)
class TrainingImage:
    """Where one cached image comes from; ``held_out`` keeps it away from training."""

    source: str
    name: str
    imagenet: int
    held_out: bool


# Sequences of several things that the VOC-21 network tells apart (it takes camels for horses,
# and paragliders for birds: those are left out).
UNNAMED = ("bmx-trees", "kite-surf", "scooter-black", "soapbox")


def _held_out(name: str, percent: int) -> bool:
    return zlib.crc32(name.encode()) % 100 < percent


def _read(path: Path) -> Bytes:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise DatasetError(f"{path} is missing or is no image: check the data folder")
    return np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA))


def _labels(path: Path, flag: int) -> Bytes:
    labels = cv2.imread(str(path), flag)
    if labels is None:
        raise DatasetError(f"{path} is missing or is no image: check the data folder")
    return np.asarray(labels, np.uint8)


def _resize(mask: Bytes) -> Bytes:
    return np.asarray(cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST))


def _coco(root: Path, teacher: VocNetwork) -> Iterator[tuple[TrainingImage, Bytes, Bytes]]:
    wanted = {name: k + 1 for k, category in enumerate(CATEGORIES) for name in category.coco}
    for entry in json.loads((root / "annotations.json").read_text())["images"]:
        image = _read(root / entry["file"])
        ids = _labels(root / entry["png"], cv2.IMREAD_UNCHANGED)
        table = np.zeros(256, np.uint8)
        for segment in entry["segments"]:
            category = wanted.get(segment["category"], 0)
            table[segment["id"]] = IGNORE if category and segment["iscrowd"] else category
        mask = _resize(table[ids])
        if entry["kind"] != "panoptic":
            named = _resize((ids > 0).astype(np.uint8))
            mask = np.where((named == 0) & (teacher(image)[1] > 0), np.uint8(IGNORE), mask)
        name = str(entry["image_id"])
        yield TrainingImage("coco", name, -1, _held_out(name, 25)), image, mask


def _people(root: Path, teacher: VocNetwork) -> Iterator[tuple[TrainingImage, Bytes, Bytes]]:
    for path in sorted(root.glob("*.jpg")):
        image = _read(path)
        person = _resize(_labels(path.with_suffix(".png"), cv2.IMREAD_GRAYSCALE)) > 127
        category, _ = teacher(image)
        other = np.where(category == 1, np.uint8(IGNORE), category)
        mask = np.where(person, np.uint8(1), other)
        yield TrainingImage("people", path.stem, -1, _held_out(path.stem, 15)), image, mask


def _davis(root: Path, teacher: VocNetwork) -> Iterator[tuple[TrainingImage, Bytes, Bytes]]:
    names = [category.name for category in CATEGORIES]
    for sequence, category_name in DAVIS.items():
        for path in sorted((root / sequence).glob("*.jpg"))[::6]:
            image = _read(path)
            main = _resize(_labels(path.with_suffix(".png"), cv2.IMREAD_GRAYSCALE)) > 0
            mask = np.where(main, np.uint8(names.index(category_name) + 1), teacher(image)[0])
            held = sequence in ("libby", "drift-chicane", "parkour")
            yield TrainingImage("davis", f"{sequence}/{path.stem}", -1, held), image, mask


def _davis_unnamed(
    root: Path, teacher: VocNetwork
) -> Iterator[tuple[TrainingImage, Bytes, Bytes]]:
    """What the teacher sees; the rest of the main object is unknown."""
    for sequence in UNNAMED:
        for path in sorted((root / sequence).glob("*.jpg"))[::4]:
            image = _read(path)
            main = _resize(_labels(path.with_suffix(".png"), cv2.IMREAD_GRAYSCALE)) > 0
            named = teacher(image)[0]
            mask = np.where(main & (named == 0), np.uint8(IGNORE), named)
            yield (
                TrainingImage("davis, unnamed", f"{sequence}/{path.stem}", -1, False),
                image,
                mask,
            )


def _imagenet(root: Path, teacher: VocNetwork) -> Iterator[tuple[TrainingImage, Bytes, Bytes]]:
    category_of = {i: k + 1 for k, category in enumerate(CATEGORIES) for i in category.imagenet}
    with (root / "classes.csv").open() as table:
        rows = list(csv.DictReader(table))
    for row in rows:
        index = int(row["class_index"])
        image = _read(root / row["file"])
        named, anything = teacher(image)
        category = category_of.get(index, 0)
        mask = np.where(named == 1, np.uint8(1), np.uint8(0))
        mask[(named != 1) & (anything > 0)] = IGNORE
        if str(index) in outlines():
            mask[outline_mask(outlines()[str(index)], SIZE, SIZE) > 0] = category
        elif category > 1:
            mask[(named != 1) & (anything > 0)] = category
            if np.mean(mask == category) < 0.03:
                mask[:] = IGNORE
        many = category > 0 and len(CATEGORIES[category - 1].imagenet) >= 8
        yield (
            TrainingImage("imagenet", row["file"], index, many and _held_out(row["file"], 15)),
            image,
            mask,
        )


@cache
def outlines() -> dict[str, list[list[list[float]]]]:
    """ImageNet samples outlined by hand: position -> polygons, in tenths of the sides."""
    found: dict[str, list[list[list[float]]]] = json.loads(OUTLINES.read_text())
    return found


def outline_mask(polygons: Sequence[Any], width: int, height: int) -> Bytes:
    """Polygons in tenths of the sides -> mask ``[H, W]`` 0|1."""
    mask = np.zeros((height, width), np.uint8)
    scale = np.array([width, height]) / 10.0
    for polygon in polygons:
        cv2.fillPoly(mask, [np.round(np.array(polygon) * scale).astype(np.int32)], 1)
    return mask


def outlined(image: TrainingImage, mask: Bytes) -> Bytes:
    """The mask without the VOC-21 network's opinion: what people did not outline is unknown."""
    if image.source == "coco":
        return np.asarray(mask)
    if image.source == "people":
        # Background and person are by hand.
        return np.where(mask > 1, np.uint8(IGNORE), mask)
    if image.source == "davis":
        own = [category.name for category in CATEGORIES].index(DAVIS[image.name.split("/")[0]]) + 1
        return np.where(mask == own, mask, np.uint8(IGNORE))
    if str(image.imagenet) in outlines():
        return np.where(mask > 1, mask, np.uint8(IGNORE))
    return np.full_like(mask, IGNORE)


def gather(data: Path, work: Path) -> None:
    """Write ``images.npy``, ``masks.npy`` and ``images.json`` under ``work``."""
    if (work / "images.json").exists():
        return
    images = data / "images"
    teacher = VocNetwork(
        data / "weights" / VOC_FILE,
        data / "labels" / "voc21_names.txt",
    )
    found: list[tuple[TrainingImage, Bytes, Bytes]] = []
    for source in (
        _coco(images / "coco_mini", teacher),
        _people(images / "people", teacher),
        _davis(images / "davis", teacher),
        _imagenet(images / "imagenet_samples", teacher),
        _davis_unnamed(images / "davis", teacher),
    ):
        found.extend(source)
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "images.npy", np.stack([image for _, image, _ in found]))
    np.save(work / "masks.npy", np.stack([mask for _, _, mask in found]))
    (work / "images.json").write_text(json.dumps([asdict(p) for p, _, _ in found]))


def load(work: Path) -> tuple[list[TrainingImage], Bytes, Bytes]:
    """The cached (descriptions, images ``[N, S, S, 3]``, masks ``[N, S, S]``)."""
    table = [TrainingImage(**row) for row in json.loads((work / "images.json").read_text())]
    images = np.load(work / "images.npy", mmap_mode="r")
    return table, images, np.load(work / "masks.npy", mmap_mode="r")
