"""The detector's scenes of a data folder, and what must be found in its photographs first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from avs_ros.inference.frames import WholePreparation
from avs_ros.models.light.detector import Detector
from recipes.c3n_light.detector_scenes import HELD_OUT_PEOPLE, DetectorScenes, held_out
from recipes.c3n_light.masked_photos import salient_masks
from recipes.c3n_light.public_networks import YOLOX_FILE, yolox_nano


def coco_names(data: Path) -> list[str]:
    """The 80 categories of COCO, in the order of the public detector's classes."""
    text = (data / "labels" / "coco80_names.txt").read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def gather_scenes(
    data: Path, output: Path, stamps: str, say: Callable[[str], None]
) -> DetectorScenes:
    """All scenes of a data folder; what is found in its photographs is kept in ``output``.

    ``stamps``: folder of Tux Paint's, empty to do without.
    """
    public = yolox_nano(data / "weights" / YOLOX_FILE).eval().requires_grad_(False)
    believed = believed_objects(public, data / "images", output)
    masks = salient_masks(data, believed, output / "salient", say)
    folder = Path(stamps) if stamps else None
    return DetectorScenes(data / "images", coco_names(data), believed, masks, folder)


@torch.no_grad()
def believed_objects(public: Detector, images: Path, output: Path) -> dict[str, Any]:
    """What the public detector finds in photographs without instances, kept in a file."""
    kept = output / "believed.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    found = {}
    folders = ("people", "camvid", "imagenet_samples")
    for path in [path for name in folders for path in sorted((images / name).glob("*.jpg"))]:
        if path.parent.name == "people" and held_out(path.stem, HELD_OUT_PEOPLE):
            continue
        bgr = np.asarray(cv2.imread(str(path)), np.uint8)
        image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        side = 416
        whole, shown = WholePreparation(side, (0.5,) * 3, (0.5,) * 3)(image)
        out = public(torch.from_numpy(whole))
        score = out.objectness[0].sigmoid()[:, None] * out.classes[0].sigmoid()
        boxes = out.boxes[0] / side / torch.tensor([*shown, *shown])
        found[f"{path.parent.name}/{path.name}"] = _kept(boxes, score)
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def _kept(boxes: torch.Tensor, score: torch.Tensor, least: float = 0.3) -> list[list[float]]:
    from torchvision.ops import batched_nms

    best, kind = score.max(dim=1)
    likely = torch.nonzero(best > least)[:, 0]
    rows = likely[batched_nms(boxes[likely], best[likely], kind[likely], 0.5)]
    return [
        [
            int(kind[i]),
            round(float(best[i]), 3),
            *(round(float(v), 4) for v in boxes[i].clamp(0, 1)),
        ]
        for i in rows
    ]
