"""Photographs with a mask of what they show: folders of them, stamps, ImageNet samples, COCO.

ImageNet's samples have no masks; U2-Netp's (Apache-2.0) are taken where the image and its mirror
image agree and nobody stands in front.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import CheckpointError, optional
from avs_ros.inference.instance_masks import box_iou
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.categories import Category
from recipes.c3n_light.images import outline_mask, outlines

SALIENCY_FILE, SALIENCY_SIDE = "u2netp.onnx", 320
# The masks of an image and of its mirror image agree (intersection over union); a mask's share of
# the image; most of it that may be a person.
AGREED, SMALLEST, LARGEST, MOST_PERSON = 0.85, 0.03, 0.85, 0.25
# A detected object is the salient one when their boxes agree (intersection over union).
SAME_OBJECT = 0.6
# Of COCO's objects those are cut out that take this share of the photograph.
CUT_SHARE = 0.02
_STAMPS = "stamps/"


@dataclass(frozen=True)
class MaskedPhoto:
    """``mask``: a file of its own, None for the alpha channel of ``image``; ``segment``: the value
    that is the object, None for any above 127.  ``polygons``: drawn by hand instead, in tenths of
    the sides.  ``cut``: the outline is good enough to lay the object into other scenes.
    """

    image: Path
    mask: Path | None = None
    segment: int | None = None
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()
    cut: bool = True

    def read(self) -> tuple[Bytes, Bytes]:
        """BGR ``[H, W, 3]`` and mask ``[H, W]`` 0|1."""
        image = np.asarray(cv2.imread(str(self.image), cv2.IMREAD_UNCHANGED), np.uint8)
        if self.polygons:
            height, width = image.shape[:2]
            mask = outline_mask(self.polygons, width, height)
            return np.ascontiguousarray(image[..., :3]), mask
        if self.mask is None:
            return np.ascontiguousarray(image[..., :3]), (image[..., 3] > 127).astype(np.uint8)
        values = np.asarray(cv2.imread(str(self.mask), cv2.IMREAD_UNCHANGED))
        if values.shape != image.shape[:2]:
            values = cv2.resize(values, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        shown = values > 127 if self.segment is None else values == self.segment
        return np.ascontiguousarray(image[..., :3]), shown.astype(np.uint8)


def folder_photos(images: Path, category: Category, stamps: Path | None) -> Iterator[MaskedPhoto]:
    """Those of a category's folders; ``stamps``: Tux Paint's, where they are."""
    for folder in category.photos:
        if not folder.startswith(_STAMPS):
            for path in sorted((images / folder).glob("*.jpg")):
                yield MaskedPhoto(path, path.with_suffix(".png"))
        elif stamps is not None:
            for path in sorted(stamps.glob(folder[len(_STAMPS) :] + "*.png")):
                yield MaskedPhoto(path)


def coco_cuts(folder: Path, entries: Sequence[Any], category: Category) -> Iterator[MaskedPhoto]:
    """COCO's larger objects of a category, whole within their photograph."""
    for entry in entries:
        width, height = entry["width"], entry["height"]
        for segment in entry["segments"]:
            x, y, w, h = segment["bbox"]
            whole = x > 2 and y > 2 and x + w < width - 2 and y + h < height - 2
            if (
                segment["category"] in category.coco
                and not segment["iscrowd"]
                and whole
                and segment["area"] > CUT_SHARE * width * height
            ):
                yield MaskedPhoto(folder / entry["file"], folder / entry["png"], segment["id"])


@cache
def sample_files(images: Path) -> dict[int, Path]:
    """ImageNet's sample of each class, by position."""
    folder = images / "imagenet_samples"
    with (folder / "classes.csv").open(encoding="utf-8") as table:
        return {int(row["class_index"]): folder / row["file"] for row in csv.DictReader(table)}


def sample_photos(
    images: Path, masks: Path, believed: Mapping[str, Any], coco: Sequence[str], category: Category
) -> Iterator[MaskedPhoto]:
    """ImageNet's samples of a category, by hand or by :func:`salient_masks`."""
    paths = sample_files(images)
    rows = [coco.index(name) for name in category.coco]
    for position in category.imagenet:
        drawn = outlines().get(str(position))
        if drawn:
            polygons = tuple(tuple((x, y) for x, y in polygon) for polygon in drawn)
            yield MaskedPhoto(paths[position], polygons=polygons, cut=False)
            continue
        mask = masks / f"{position}.png"
        if not mask.is_file():
            continue
        known = believed.get(f"imagenet_samples/{paths[position].name}", ())
        if rows and not _is_one_of(mask, [k for k in known if int(k[0]) in rows]):
            continue
        yield MaskedPhoto(paths[position], mask)


def other_samples(images: Path, masks: Path, kinds: Sequence[Category]) -> Iterator[MaskedPhoto]:
    """Things of no category: the detector learns that they are something."""
    shown = {position for kind in kinds for position in kind.imagenet}
    for position, path in sorted(sample_files(images).items()):
        mask = masks / f"{position}.png"
        if position not in shown and mask.is_file():
            yield MaskedPhoto(path, mask)


def _is_one_of(mask: Path, found: Sequence[Any]) -> bool:
    """Whether one detected object alone is what the mask shows."""
    shown = np.asarray(cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)) > 127
    height, width = shown.shape
    ys, xs = np.nonzero(shown)
    own = np.array([xs.min() / width, ys.min() / height, (xs.max() + 1) / width,
                    (ys.max() + 1) / height], np.float32)  # fmt: skip
    sure = [np.array(one[2:], np.float32) for one in found if one[1] >= 0.3]
    return len(sure) == 1 and box_iou(own, sure[0]) >= SAME_OBJECT


def salient_masks(
    data: Path, believed: Mapping[str, Any], output: Path, say: Callable[[str], None]
) -> Path:
    """Masks of ImageNet's samples in ``output``, made once; returns that folder.

    Raises CheckpointError without U2-Netp and MissingDependencyError without onnxruntime.
    """
    done = output / "done"
    if done.is_file():
        return output
    output.mkdir(parents=True, exist_ok=True)
    network = _saliency(data / "weights" / SALIENCY_FILE)
    kept = 0
    for position, path in sorted(sample_files(data / "images").items()):
        rgb = np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1]
        mask = _agreed_mask(network, rgb)
        if mask is None:
            continue
        known = believed.get(f"imagenet_samples/{path.name}", ())
        if _person_share(mask, [one for one in known if int(one[0]) == 0]) > MOST_PERSON:
            continue
        cv2.imwrite(str(output / f"{position}.png"), mask * 255)
        kept += 1
    say(f"{kept} of ImageNet's samples have a mask")
    done.touch()
    return output


def _saliency(file: Path) -> Callable[[Bytes], Float]:
    runtime = optional("onnxruntime", "masks of ImageNet's samples")
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: check the data folder")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def run(rgb: Bytes) -> Float:
        side = (SALIENCY_SIDE, SALIENCY_SIDE)
        x = cv2.resize(rgb, side, interpolation=cv2.INTER_AREA).astype(np.float32)
        x = ((x / max(float(x.max()), 1.0) - mean) / spread).astype(np.float32)
        out = session.run(None, {name: x.transpose(2, 0, 1)[None]})[0][0, 0]
        return np.asarray((out - out.min()) / (out.max() - out.min() + 1e-9), np.float32)

    return run


def _agreed_mask(network: Callable[[Bytes], Float], rgb: Bytes) -> Bytes | None:
    one = network(np.ascontiguousarray(rgb))
    other = network(np.ascontiguousarray(rgb[:, ::-1]))[:, ::-1]
    both, either = ((one > 0.5) & (other > 0.5)).sum(), ((one > 0.5) | (other > 0.5)).sum()
    if both < AGREED * max(int(either), 1):
        return None
    mask = cv2.resize((one + other) / 2, rgb.shape[1::-1]) > 0.5
    return mask.astype(np.uint8) if SMALLEST <= mask.mean() <= LARGEST else None


def _person_share(mask: Bytes, people: Sequence[Any]) -> float:
    height, width = mask.shape
    covered = np.zeros_like(mask)
    for _, _, x0, y0, x1, y1 in people:
        covered[int(y0 * height) : int(np.ceil(y1 * height)),
                int(x0 * width) : int(np.ceil(x1 * width))] = 1  # fmt: skip
    return float((covered & mask).sum() / max(int(mask.sum()), 1))
