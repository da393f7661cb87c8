"""Which detected object of any class a category is that only the class head's cells show.

Of categories that the detector does not know where they are used (a piano that is played), the
cells tell the place and the detector's class-free boxes the extent.  Weights of what tells of a
box (``inference.candidates.thing_features``) are fitted here on photographs that the detector has
not seen, and on these laid small into other scenes; they are judged on categories that the fit
did not see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from avs_ros.evaluation.boxes import Box, box_iou, box_of
from avs_ros.inference.candidates import THING_WEIGHTS, thing_features
from avs_ros.inference.light_detecting import DetectingSegmenter
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.categories import Category, categories
from recipes.c3n_light.detector_scenes import photo_held_out
from recipes.c3n_light.masked_photos import folder_photos

FOUND_IOU = 0.5
# Side of an object laid into a scene, share of the scene's; of each photograph so many scenes.
SMALLEST_SIDE, LARGEST_SIDE, SCENES = 0.15, 0.9, 2
# Smallest object of a photograph of COCO's, share of its pixels.
SMALLEST_SHARE = 0.003
PARTS, STEPS, RATE, DECAY = 5, 400, 0.05, 1e-3


@dataclass(frozen=True)
class Choice:
    """One image: features ``[n, F]`` of its boxes, and the best IoU ``[n]`` of each with one of
    the category's ``truths``.  ``kind``: where the image is from.
    """

    kind: str
    category: int
    features: Float
    overlap: Float


def fit_box_choice(data: Path, checkpoint: Path, say: Callable[[str], None]) -> Float:
    """Weights ``[F]`` fitted on all choices; says how well they choose where they were not."""
    model = DetectingSegmenter(checkpoint, engine="auto")
    try:
        found = list(_choices(model, data / "images"))
    finally:
        model.close()
    parts = np.array([one.category % PARTS for one in found])
    chosen = {"shipped": [float(one.overlap[_best(one, THING_WEIGHTS)]) for one in found]}
    fitted = np.zeros(len(found))
    for part in range(PARTS):
        weights = _fit([one for one, of in zip(found, parts, strict=True) if of != part])
        for place in np.flatnonzero(parts == part):
            fitted[place] = found[place].overlap[_best(found[place], weights)]
    chosen |= {
        "fitted on other categories": list(fitted),
        "best box there is": [float(one.overlap.max()) for one in found],
    }
    kinds = np.array([one.kind for one in found])
    for name, overlaps in chosen.items():
        for kind in dict.fromkeys(kinds):
            values = np.array(overlaps)[kinds == kind]
            share = float((values >= FOUND_IOU).mean())
            say(f"{name:27} {kind:10} IoU {values.mean():.3f}, found {share:.3f} of {len(values)}")
    weights = _fit(found)
    say("weights on all: " + ", ".join(f"{value:.2f}" for value in weights))
    return weights


def _best(choice: Choice, weights: Sequence[float] | Float) -> int:
    return int((choice.features @ np.asarray(weights, np.float32)).argmax())


def _fit(found: Sequence[Choice]) -> Float:
    """Weights that give the largest mean overlap of a box drawn by the softmax of its score."""
    most = max(len(one.overlap) for one in found)
    features = np.zeros((len(found), most, found[0].features.shape[1]), np.float32)
    overlap = np.zeros((len(found), most), np.float32)
    there = np.zeros((len(found), most), bool)
    for place, one in enumerate(found):
        count = len(one.overlap)
        features[place, :count], overlap[place, :count] = one.features, one.overlap
        there[place, :count] = True
    spread = features[there].std(axis=0)
    x, y, known = (torch.from_numpy(array) for array in (features / spread, overlap, there))
    weights = torch.zeros(x.shape[2], requires_grad=True)
    optimizer = torch.optim.Adam([weights], RATE)
    for _ in range(STEPS):
        share = (x @ weights).masked_fill(~known, float("-inf")).softmax(dim=1)
        loss: Tensor = -(share * y).sum(dim=1).mean() + DECAY * (weights**2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.asarray(weights.detach().numpy() / spread, np.float32)


def _choices(model: DetectingSegmenter, images: Path) -> Iterator[Choice]:
    table = json.loads((images / "coco_mini" / "annotations.json").read_text())["images"]
    scenes = [images / "coco_mini" / entry["file"] for entry in table]
    rng = np.random.default_rng(0)
    for category in track(categories(), "categories"):
        if category.name not in model.categories:
            continue
        row = list(model.categories).index(category.name)
        for kind, rgb, truths in _images(images, category, table, scenes, rng):
            seen = model.candidates(rgb)
            likely = seen.likely_things()
            if len(likely) > 1:
                boxes = seen.boxes[likely]
                features, _ = thing_features(seen.shown(row), boxes, seen.things[likely])
                overlap = [max(box_iou(tuple(box), truth) for truth in truths) for box in boxes]
                yield Choice(kind, row, features, np.array(overlap, np.float32))


def _images(
    images: Path, category: Category, table: Sequence[Any], scenes: Sequence[Path],
    rng: np.random.Generator,
) -> Iterator[tuple[str, Bytes, list[Box]]]:
    """Where it is from, uint8 RGB, and the boxes of what it shows of the category, in shares."""
    for photo in folder_photos(images, category, None):
        if photo_held_out(photo):
            bgr, mask = photo.read()
            around = box_of(mask)
            if around is None:
                continue
            yield "photograph", _rgb(bgr), [_share(around, mask.shape[1], mask.shape[0])]
            for _ in range(SCENES):
                scene = np.asarray(cv2.imread(str(rng.choice(np.array(scenes)))), np.uint8)
                laid, box = _laid(scene, bgr, mask, rng)
                yield "laid", _rgb(laid), [box]
    for entry in table:
        size = entry["width"] * entry["height"]
        own = [
            segment for segment in entry["segments"]
            if segment["category"] in category.coco and not segment["iscrowd"]
        ]  # fmt: skip
        if max((segment["area"] for segment in own), default=0) >= SMALLEST_SHARE * size:
            whole = np.asarray(cv2.imread(str(images / "coco_mini" / entry["file"])), np.uint8)
            truths = [
                _share((x, y, x + w, y + h), entry["width"], entry["height"])
                for x, y, w, h in (segment["bbox"] for segment in own)
            ]
            yield "coco", _rgb(whole), truths


def _laid(scene: Bytes, bgr: Bytes, mask: Bytes, rng: np.random.Generator) -> tuple[Bytes, Box]:
    """The masked object at some size somewhere in the scene."""
    height, width = scene.shape[:2]
    ys, xs = np.nonzero(mask)
    rows, columns = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    cut = bgr[rows, columns]
    side = np.exp(rng.uniform(np.log(SMALLEST_SIDE), np.log(LARGEST_SIDE)))
    scale = side * min(height / cut.shape[0], width / cut.shape[1])
    w, h = (max(8, int(length * scale)) for length in (cut.shape[1], cut.shape[0]))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    share = cv2.resize(mask[rows, columns].astype(np.float32), (w, h))[..., None]
    own = cv2.resize(cut, (w, h), interpolation=cv2.INTER_AREA)
    out = scene.copy()
    out[y : y + h, x : x + w] = scene[y : y + h, x : x + w] * (1 - share) + own * share
    return out, _share((x, y, x + w, y + h), width, height)


def _share(box: Box, width: int, height: int) -> Box:
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _rgb(bgr: Bytes) -> Bytes:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
