"""Teaching the segmentation network: from VOC's classes in large images to categories in small.

It starts from the VOC-21 network, which has seen far more outlined images than there are here,
and must not forget them: what that network says of the same scene, enlarged to nearly the size
that it was made for, holds it back.  Afterwards it goes most of the way back to where it started,
which keeps what was gained and gives back what was lost, and what joins it with the other maps
learns on alone (``joining``).  Everything else of the light model stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from avs_ros.models.light.category_segmenter import CategorySegmenter, DeepLabV3, VocOutput
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORIES
from recipes.c3n_light.baselines import VOC_FILE
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.visual_stage import fuse_silently, map_losses, pixels
from recipes.c3n_light.voc_network import voc_network

# The teacher is at home at 513 px; from 400 on it is as good, at a third less.
TEACHER_SIZE = 416
HELD_BACK = 0.5
# Of images of people: somebody is given an instrument or a tool.
IN_HANDS = 0.3
# Share of the way back to the start between the two stages.
INTERPOLATION_SEGMENTING = 0.7


def voc_of_category(data: Path) -> list[int]:
    """For each category the VOC class that shows it, or -1."""
    names = (data / "labels" / "voc21_names.txt").read_text(encoding="utf-8").split("\n")
    index = {name.strip(): i for i, name in enumerate(names)}
    return [index.get(category.voc, -1) if category.voc else -1 for category in CATEGORIES]


def add_segmenter(net: LightC3N, data: Path, image_size: int) -> LightC3N:
    """Give ``net`` a segmentation network of ``image_size``, as the VOC-21 network left it."""
    segmenter = CategorySegmenter(len(CATEGORIES), net.c3n.channels, voc_of_category(data))
    fold_batch_norm(segmenter)
    segmenter.network.load_state_dict(voc_network(data / "weights" / VOC_FILE).state_dict())
    net.segmenter, net.image_size = segmenter, image_size
    return net


def lead_segmenter_back(
    net: LightC3N, data: Path, share: float = INTERPOLATION_SEGMENTING
) -> None:
    """Move the segmentation network this share of the way back to its start, in place."""
    assert net.segmenter is not None
    before = voc_network(data / "weights" / VOC_FILE).state_dict()
    with torch.no_grad():
        for name, tensor in net.segmenter.network.named_parameters():
            tensor.lerp_(before[name].to(tensor.device), share)


class SegmentingStage:
    """See the module; ``net`` has a segmentation network already."""

    power = 0.9

    def __init__(
        self,
        net: LightC3N,
        scenes: SceneSampler,
        batch: int,
        seed: int,
        teacher: DeepLabV3 | None = None,
        joining: bool = False,
    ) -> None:
        """``teacher``: the network that holds it back; None: nothing does.

        ``joining``: the segmentation network itself stays as it is.
        """
        assert net.segmenter is not None
        self.name = "joining" if joining else "segmenting"
        self.network, self.batch, self.key = net, batch, seed
        self._segmenter, self._scenes = net.segmenter, scenes
        self._teacher = teacher
        for part in (self._segmenter, teacher):
            if part is not None:
                # Depthwise convolutions learn a quarter faster so.
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        net.eval().requires_grad_(False)
        self._segmenter.requires_grad_(True)
        self._segmenter.network.requires_grad_(not joining)

    def groups(self) -> list[dict[str, Any]]:
        """What was learned before slowly, biases by their own size, what is new fast."""
        old = list(self._segmenter.network.parameters())
        known = {id(p) for p in old}
        new = [p for p in self._segmenter.parameters() if id(p) not in known]
        groups = [
            {"params": [p for p in old if p.ndim > 1], "lr": 1e-4, "weight_decay": 1e-4},
            {"params": [p for p in old if p.ndim == 1], "lr": 6e-4, "weight_decay": 0.0},
            {"params": new, "lr": 1e-3, "weight_decay": 1e-4},
        ]
        return groups[2:] if self.name == "joining" else groups

    def loss(self, step: int, done: float) -> Tensor:
        """Maps against masks, VOC's classes against the teacher's."""
        self._scenes.rng = np.random.default_rng((self.key, step))
        drawn = [self._scenes.draw() for _ in range(self.batch)]
        where = self._segmenter.share.device
        frames = pixels(np.stack([scene[0] for scene in drawn])).to(where)
        masks = torch.from_numpy(np.stack([scene[1] for scene in drawn])).long().to(where)
        with torch.no_grad():
            _, decoded, hidden = fuse_silently(self.network, frames)
            class_maps = self.network.category_maps(hidden)
            maps = self.network.semantic_maps(decoded, class_maps)
        seen = self._segmenter.network(frames)
        loss = map_losses(self._segmenter.combine(seen, decoded, maps), class_maps, masks)
        return loss if self._teacher is None else loss + HELD_BACK * self._forgetting(seen, frames)

    def _forgetting(self, seen: VocOutput, frames: Tensor) -> Tensor:
        """How far VOC's classes are from the teacher's: mean divergence over positions.

        Half of the batch is asked: the teacher's large images cost as much as all the rest.
        """
        assert self._teacher is not None
        half = max(1, len(frames) // 2)
        frames, classes_now = frames[:half], seen.classes[:half]
        with torch.no_grad():
            side = (TEACHER_SIZE, TEACHER_SIZE)
            large = functional.interpolate(frames, side, mode="bilinear", align_corners=False)
            classes = functional.interpolate(
                self._teacher(large).classes,
                classes_now.shape[2:],
                mode="bilinear",
                align_corners=True,
            ).log_softmax(1)
        now = classes_now.log_softmax(1)
        return (classes.exp() * (classes - now)).sum(1).mean()
