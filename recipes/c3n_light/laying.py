"""Things laid into a scene, and the scene as the detector is shown it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avs_ros.inference.frames import WholePreparation
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.cutouts import as_filmed, behind_hands, other_colours
from recipes.c3n_light.masked_photos import MaskedPhoto

# The row of an instance that is something, but of no category.
THING = -1
# Share of the scenes that look like a film's.
FILMED = 0.6
# An instance of which less is left is nobody's.
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
    px), ``masks`` float32 ``[S/4, S/4]`` 0..1 and whether it is ``outlined``.
    """

    frame: Bytes
    rows: tuple[int, ...]
    boxes: tuple[Float, ...]
    masks: tuple[Float, ...]
    outlined: tuple[bool, ...]


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


def finished(image: Bytes, found: list[Instance], rng: np.random.Generator, size: int) -> Scene:
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
        small = cv2.resize(square, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
        rows.append(one.row)
        boxes.append(box)
        masks.append(np.asarray(small, np.float32))
        outlined.append(one.outlined)
    return Scene(frame, tuple(rows), tuple(boxes), tuple(masks), tuple(outlined))
