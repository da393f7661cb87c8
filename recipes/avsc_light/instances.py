"""Instances in the images that the light model's training gathers.

COCO names its things one by one; elsewhere an instance is a connected part of a category's pixels.
What a teacher network marked, and nobody, is *silent* in the sense of the objective: a potential
sounding object that no annotation vouches for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from avs_ros.errors import DatasetError
from avs_ros.models.light.vocabulary import CATEGORIES
from avs_ros.segmentation import Bytes
from recipes.c3n_light.images import DAVIS, IGNORE, OUTLINES, SIZE, TrainingImage, load

# Smallest share of the image that is an instance; anything smaller is unknown.  A teacher's
# specks are more often wrong than right.
SMALLEST, SMALLEST_SILENT = 0.0015, 0.01
MOST = 60


@dataclass(frozen=True)
class Part:
    """One instance: ``category`` is its index, ``silent`` whether only a teacher says so."""

    category: int
    silent: bool


def gather(data: Path, work: Path) -> None:
    """Write ``instances.npy`` and ``instances.json`` beside the images that ``work`` holds."""
    if (work / "instances.json").is_file():
        return
    table, _, masks = load(work)
    coco = _coco(data / "images" / "coco_mini")
    outlined = set(json.loads(OUTLINES.read_text(encoding="utf-8")))
    maps: list[Bytes] = []
    parts: list[list[Part]] = []
    for image, mask in zip(table, masks, strict=True):
        if image.source == "coco":
            ids, found = coco(image.name, np.asarray(mask))
        else:
            ids, found = components(np.asarray(mask), _vouched(image, outlined))
        maps.append(ids)
        parts.append(found)
    np.save(work / "instances.npy", np.stack(maps))
    text = json.dumps([[asdict(part) for part in found] for found in parts])
    temporary = work / "instances.part"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, work / "instances.json")


def read(work: Path) -> tuple[Bytes, list[list[Part]]]:
    """``ids`` uint8 ``[N, S, S]`` and, per image, its parts: pixel value i is part i - 1.

    0 is nothing that sounds, ``IGNORE`` unknown.
    """
    path = work / "instances.json"
    if not path.is_file():
        raise DatasetError(f"{path} is missing: gather the images first")
    rows = json.loads(path.read_text(encoding="utf-8"))
    ids = np.load(work / "instances.npy", mmap_mode="r")
    return ids, [[Part(**part) for part in found] for found in rows]


def components(mask: Bytes, vouched: frozenset[int]) -> tuple[Bytes, list[Part]]:
    """Connected parts of a category mask ``[S, S]``; categories not in ``vouched`` are silent."""
    out = np.where(mask == IGNORE, np.uint8(IGNORE), np.uint8(0))
    parts: list[Part] = []
    for value in np.unique(mask):
        if not 0 < value < IGNORE:
            continue
        of_category = (mask == value).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(of_category)
        silent = int(value) - 1 not in vouched
        least = (SMALLEST_SILENT if silent else SMALLEST) * mask.size
        for index in range(1, count):
            inside = labels == index
            if stats[index, cv2.CC_STAT_AREA] < least or len(parts) >= MOST:
                out[inside] = IGNORE
                continue
            parts.append(Part(int(value) - 1, silent))
            out[inside] = len(parts)
    return out, parts


def _vouched(image: TrainingImage, outlined: set[str]) -> frozenset[int]:
    """Categories of an image that a person, not a teacher, marked."""
    names = [category.name for category in CATEGORIES]
    if image.source == "people":
        return frozenset({names.index("person")})
    if image.source == "davis":
        return frozenset({names.index(DAVIS[image.name.split("/")[0]])})
    if str(image.imagenet) in outlined:
        return frozenset(
            k for k, category in enumerate(CATEGORIES) if image.imagenet in category.imagenet
        )
    return frozenset()


def _coco(root: Path) -> Callable[[str, Bytes], tuple[Bytes, list[Part]]]:
    """Reader of one photograph's things: (image id, category mask) -> (ids, parts)."""
    entries = json.loads((root / "annotations.json").read_text(encoding="utf-8"))["images"]
    by_name = {str(entry["image_id"]): entry for entry in entries}
    category_of = {name: k for k, category in enumerate(CATEGORIES) for name in category.coco}

    def read_one(name: str, mask: Bytes) -> tuple[Bytes, list[Part]]:
        entry = by_name[name]
        ids = cv2.imread(str(root / entry["png"]), cv2.IMREAD_UNCHANGED)
        if ids is None:
            raise DatasetError(f"{root / entry['png']} is missing: check the data folder")
        ids = cv2.resize(ids, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
        out = np.where(mask == IGNORE, np.uint8(IGNORE), np.uint8(0))
        parts: list[Part] = []
        for segment in entry["segments"]:
            category = category_of.get(segment["category"])
            if category is None or segment["iscrowd"]:
                continue
            inside = ids == segment["id"]
            if inside.mean() < SMALLEST or len(parts) >= MOST:
                out[inside] = IGNORE
                continue
            parts.append(Part(category, False))
            out[inside] = len(parts)
        return out, parts

    return read_one
