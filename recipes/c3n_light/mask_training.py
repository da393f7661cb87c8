"""The detector's mask head, taught on outlined objects while everything else of it stays.

What is detected, and how sure of it the detector is, stay the same; only outlines change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torchvision.ops import box_iou

from avs_ros.errors import CheckpointError, ParameterError
from avs_ros.models.light.checkpoint import load_light, save_light
from avs_ros.models.light.detector import Detections, Detector
from avs_ros.models.light.mask_head import instance_logits, start_filters
from recipes.c3n_light.detector_scenes import DetectorScenes
from recipes.c3n_light.laying import Scene
from recipes.c3n_light.provenance import made_by
from recipes.c3n_light.scene_drawer import SceneDrawer, pixels_of
from recipes.c3n_light.scene_sources import gather_scenes
from recipes.c3n_light.settings import CountedInSteps, require_stamps
from recipes.c3n_light.stages import Reporter, learn

# Anchors whose boxes fit an object so well (intersection over union) speak for it; the likeliest
# of them, of which so many are drawn each time; and so many objects of a scene.
FITTING, SPEAKERS, DRAWN, MOST_OBJECTS = 0.5, 6, 2, 8
# Around the object and the anchor's box, what must be told apart: share of the object's size.
AROUND = 0.1


@dataclass(frozen=True)
class MaskSettings(CountedInSteps):
    """``stamps``: folder of Tux Paint's stamps, empty to do without.  ``size``: of the scenes, px;
    so many ``batch`` a step.
    """

    seed: int = 5
    stamps: str = "/usr/share/tuxpaint/stamps"
    size: int = 416
    steps: int = 6000
    batch: int = 8
    checkpoint_every: int = 100
    threads: int = 0

    def __post_init__(self) -> None:
        """Raise ParameterError for the first value outside its range."""
        if self.size < 64 or self.size % 32:
            raise ParameterError("size must be a multiple of 32 from 64 on")
        require_stamps(self.stamps)


class MaskStage:
    """See the module; ``scenes`` of ``size`` px, ``batch`` a step."""

    name, power = "masks", 0.9

    def __init__(
        self, network: Detector, scenes: DetectorScenes, size: int, batch: int, seed: int
    ) -> None:
        self.network, self.size = network.requires_grad_(False), size
        self._moving = [*network.mask_branch.parameters()]
        for head in network.heads:
            self._moving += head.filters.parameters()  # type: ignore[union-attr]
        for parameter in self._moving:
            parameter.requires_grad_(True)
        self._drawer = SceneDrawer(scenes.draw_outlined, size, batch, seed)

    def groups(self) -> list[dict[str, Any]]:
        """The mask branch and what predicts its filters."""
        return [{"params": self._moving, "lr": 2e-3, "weight_decay": 1e-4}]

    def loss(self, step: int, done: float) -> Tensor:
        """Cross-entropy and Dice of the anchors that speak for the objects of one batch."""
        scenes = self._drawer(step)
        found: Detections = self.network(pixels_of(scenes))
        # The same draws on every machine, however many threads it has.
        rng = np.random.default_rng((self._drawer.key, step, 1))
        parts = [
            part for index, scene in enumerate(scenes)
            for part in self._speakers(found, index, scene, rng)
        ]  # fmt: skip
        if not parts:
            return found.features.sum() * 0.0
        images, anchors, truth, boxes = (list(column) for column in zip(*parts, strict=True))
        own = found.boxes[images, anchors]
        logits = instance_logits(
            found.filters[images, anchors], found.features[images], own / self.size
        )
        masks = torch.from_numpy(np.stack(truth))
        logits = functional.interpolate(
            logits[:, None], size=masks.shape[1:], mode="bilinear", align_corners=False
        )[:, 0]
        return mask_loss(logits, masks, self._around(own, torch.from_numpy(np.stack(boxes))))

    def _speakers(
        self, found: Detections, index: int, scene: Scene, rng: np.random.Generator
    ) -> Iterator[tuple[int, int, Any, Any]]:
        """(image, anchor, mask, box) of the anchors that speak for outlined objects."""
        objects = [k for k, outlined in enumerate(scene.outlined) if outlined]
        if len(objects) > MOST_OBJECTS:
            objects = [int(k) for k in rng.choice(objects, MOST_OBJECTS, replace=False)]
        boxes = found.boxes[index]
        objectness = found.objectness[index].sigmoid()
        likely = (objectness * found.classes[index].sigmoid().amax(dim=1)).numpy()
        for k in objects:
            overlap = box_iou(boxes, torch.from_numpy(scene.boxes[k])[None])[:, 0].numpy()
            fitting = np.flatnonzero(overlap >= FITTING)
            fitting = fitting[np.argsort(-likely[fitting], kind="stable")[:SPEAKERS]]
            if not len(fitting):
                continue
            weights = likely[fitting] + 1e-9
            count = min(DRAWN, len(fitting))
            drawn = rng.choice(fitting, count, replace=False, p=weights / weights.sum())
            for anchor in drawn:
                yield index, int(anchor), scene.masks[k], scene.boxes[k]

    def _around(self, own: Tensor, boxes: Tensor) -> Tensor:
        """The boxes ``[n, 4]`` (shares) that hold the anchors' and the objects', enlarged."""
        low = torch.minimum(own[:, :2], boxes[:, :2])
        high = torch.maximum(own[:, 2:], boxes[:, 2:])
        more = (high - low) * AROUND + 8.0
        return torch.cat([low - more, high + more], dim=1) / self.size


def mask_loss(logits: Tensor, masks: Tensor, around: Tensor) -> Tensor:
    """Mean over ``n`` of cross-entropy and Dice loss (F. Milletari et al., 2016) within boxes.

    ``logits``, ``masks`` (0..1) ``[n, h, w]``; ``around`` ``[n, 4]`` in shares.
    """
    inside = []
    for axis, size in ((0, masks.shape[2]), (1, masks.shape[1])):
        cells = (torch.arange(size) + 0.5) / size
        low, high = around[:, axis, None], around[:, axis + 2, None]
        inside.append((cells >= low) & (cells <= high))
    within = (inside[1][:, :, None] & inside[0][:, None]).float()
    each = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    each = (each * within).sum((1, 2)) / within.sum((1, 2)).clamp(min=1)
    likely, true = logits.sigmoid() * within, masks * within
    shared = 2 * (likely * true).sum((1, 2)) + 1
    dice = 1 - shared / ((likely**2).sum((1, 2)) + (true**2).sum((1, 2)) + 1)
    return (each + dice).mean()


def begin_masks(network: Detector) -> None:
    """Forget the mask head, in place."""
    for module in network.mask_branch.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    for head in network.heads:
        start_filters(head.filters)  # type: ignore[arg-type]


def run_masks(
    checkpoint: Path,
    settings: MaskSettings,
    data: Path,
    output: Path,
    reporter: Reporter,
) -> Path:
    """A file with the networks of ``checkpoint`` and a new mask head.

    Raises CheckpointError for one without a detector.
    """
    target = output / "c3n_light.safetensors"
    model = load_light(checkpoint)
    if model.detector is None:
        raise CheckpointError(f"{checkpoint} has no detector: run detect")
    scenes = gather_scenes(data, output, settings.stamps, reporter.say)
    torch.manual_seed(settings.seed)
    begin_masks(model.detector)
    stage = MaskStage(model.detector, scenes, settings.size, settings.batch, settings.seed)
    learn(stage, settings.steps, output, reporter, seed=settings.seed,
          checkpoint_every=settings.checkpoint_every)  # fmt: skip
    told = {k: v for k, v in model.metadata.items() if k not in ("kind", "build", "names")}
    made = made_by("masks", settings, data)
    told["provenance"] = {**told.get("provenance", {}), "masks": made}
    save_light(
        target, model.network, model.metadata["names"], told,
        detector=model.detector.requires_grad_(False), short_audio=model.short_audio,
    )  # fmt: skip
    return target
