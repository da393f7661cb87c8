"""Teaching the detector: COCO's objects stay as they are known, instruments and tools are added.

It starts from YOLOX-nano; what that network says of the same scene holds it back.  Anchor points
are given to objects as YOLOX does it (SimOTA).  Masks are taught afterwards
(``mask_training``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.light.detector import STRIDES, Detections, Detector
from recipes.c3n_light.detector_scenes import DetectorScenes
from recipes.c3n_light.laying import THING, Scene
from recipes.c3n_light.public_networks import COCO_CLASSES, YOLOX_FILE, yolox_nano
from recipes.c3n_light.scene_drawer import SceneDrawer, pixels_of

# What the public network says counts at anchors that it believes this much.
HEEDED = 0.12
_BOX = 5.0
_CENTRE_REACH = 2.5
_PYRAMID = ("dark5", "lateral", "middle_down", "reduce", "fine", "fine_up", "middle", "middle_up",
            "coarse")  # fmt: skip
# What both networks share and nothing changes: edges and textures.
_SHARED = ("stem", "dark2", "dark3")
_STAYS = ("dark4",)


def start_detector(data: Path, rows: int) -> tuple[Detector, Detector]:
    """YOLOX-nano with ``rows`` classes (COCO's first), and as it is published."""
    public = yolox_nano(data / "weights" / YOLOX_FILE)
    network = Detector(rows)
    own = network.state_dict()
    for name, tensor in public.state_dict().items():
        if _is_mask_head(name):
            continue
        if own[name].shape == tensor.shape:
            own[name] = tensor.clone()
            continue
        own[name][:COCO_CLASSES] = tensor
        mean = tensor.mean(dim=0)
        extra = own[name][COCO_CLASSES:]
        noise = torch.randn_like(extra) * 0.01 if tensor.ndim > 1 else -1.0
        own[name][COCO_CLASSES:] = mean + noise
    network.load_state_dict(own)
    # Depthwise convolutions are taught nearly twice as fast in this order on a CPU.
    return tuple(
        one.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for one in (network, public.requires_grad_(False))
    )


def continue_detector(
    network: Detector, before: Detector, names: Sequence[str], known: Sequence[str]
) -> None:
    """Take over an earlier detector's tensors, in place; ``names`` and ``known``: their classes.

    What the earlier one has no class for stays as it is.
    """
    own, earlier = network.state_dict(), before.state_dict()
    place = {name: index for index, name in enumerate(known)}
    for name, tensor in earlier.items():
        if own[name].shape == tensor.shape:
            own[name] = tensor.clone()
            continue
        for index, kind in enumerate(names):
            if kind in place:
                own[name][index] = tensor[place[kind]]
    network.load_state_dict(own)


def move_back(network: Detector, public: Detector, share: float) -> None:
    """Move what both have this share of the way back to the public network, in place."""
    with torch.no_grad():
        before = public.state_dict()
        for name, tensor in network.state_dict().items():
            if not _is_mask_head(name):
                tensor[: len(before[name])].lerp_(before[name].to(tensor.device), share)


class DetectingStage:
    """See the module; ``scenes`` of ``size`` px, ``batch`` a step."""

    name, power = "detecting", 0.9

    def __init__(
        self,
        network: Detector,
        public: Detector,
        scenes: DetectorScenes,
        size: int,
        batch: int,
        seed: int,
    ) -> None:
        self.network, self._public = network, public.eval()
        self._points, self._strides = _anchor_points(size)
        # A sixth faster where the processor multiplies such numbers itself.
        self._half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self._drawer = SceneDrawer(scenes.draw, size, batch, seed)

    def groups(self) -> list[dict[str, Any]]:
        """The backbone slowest, the pyramid and the heads slowly; the mask head later."""
        parts: dict[str, list[nn.Parameter]] = {"stays": [], "pyramid": [], "heads": []}
        for name, parameter in self.network.named_parameters():
            first = name.split(".")[0]
            if first in _SHARED or _is_mask_head(name):
                parameter.requires_grad_(False)
                continue
            kind = "pyramid" if first in _PYRAMID else "heads"
            parts["stays" if first in _STAYS else kind].append(parameter)
        rates = {"stays": 1e-5, "pyramid": 1e-4, "heads": 3e-4}
        return [{"params": parts[k], "lr": rates[k], "weight_decay": 1e-4} for k in parts]

    def loss(self, step: int, done: float) -> Tensor:
        """Boxes, classes and objectness of one batch."""
        drawn = self._drawer(step)
        pixels = pixels_of(drawn)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            with torch.no_grad():
                known = self._public(pixels)
            found = self.network(pixels)
        return self._compare(_exact(found), _exact(known), drawn)

    def _compare(self, found: Detections, known: Detections, scenes: list[Scene]) -> Tensor:
        objectness = known.objectness.sigmoid()
        believed = objectness * known.classes.sigmoid().amax(dim=2)
        objectness = torch.where(objectness < 0.05, 0.0, objectness)
        taken = torch.zeros_like(objectness, dtype=torch.bool)
        boxes = kinds = found.boxes.sum() * 0.0
        count = 0.0
        for index, scene in enumerate(scenes):
            matched = self._match(found, index, scene)
            if matched is None:
                continue
            anchors, objects, truth = matched
            taken[index, anchors] = True
            objectness[index, anchors] = 1.0
            count += len(anchors)
            overlap = _pair_iou(found.boxes[index, anchors], truth[objects])
            boxes = boxes + (1 - overlap**2).sum()
            rows = torch.tensor(scene.rows)[objects]
            named = rows != THING
            target = functional.one_hot(rows[named], found.classes.shape[2]).float()
            target = target * overlap.detach()[named].clamp(min=0.3)[:, None]
            kinds = kinds + _bce(found.classes[index, anchors[named]], target).sum()
            # Something of no category: of COCO's it may be what the public network says.
            others = found.classes[index, anchors[~named]]
            said = known.classes[index, anchors[~named], :COCO_CLASSES].sigmoid()
            kinds = kinds + _bce(others[:, :COCO_CLASSES], said).sum()
            kinds = kinds + 0.1 * functional.softplus(others[:, COCO_CLASSES:]).sum()
        heeded = torch.nonzero((believed > HEEDED) & ~taken).unbind(1)
        own, before = found.classes[heeded], known.classes[heeded].sigmoid()
        kinds = kinds + _bce(own[:, :COCO_CLASSES], before).sum()
        kinds = kinds + 0.1 * functional.softplus(own[:, COCO_CLASSES:]).sum()
        overlap = _pair_iou(found.boxes[heeded], known.boxes[heeded])
        boxes = boxes + 0.5 * (1 - overlap**2).sum()
        count = max(count + 0.5 * len(own), 1.0)
        there = _bce(found.objectness, objectness).sum()
        return (_BOX * boxes + there + kinds) / count

    @torch.no_grad()
    def _match(
        self, found: Detections, index: int, scene: Scene
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Anchors, the object of each, and the objects' boxes; None where nothing is there."""
        if not scene.rows:
            return None
        truth = torch.from_numpy(np.stack(scene.boxes)).float()
        points = self._points[:, None]
        inside = ((points > truth[None, :, :2]) & (points < truth[None, :, 2:])).all(dim=2)
        centre = (truth[:, :2] + truth[:, 2:]) / 2
        reach = _CENTRE_REACH * self._strides[:, None, None]
        near = ((points - centre[None]).abs() < reach).all(dim=2)
        possible = torch.nonzero((inside | near).any(dim=1))[:, 0]
        if not len(possible):
            return None
        overlap = _all_iou(found.boxes[index, possible], truth)
        there = found.objectness[index, possible].sigmoid()[:, None]
        score = (found.classes[index, possible].sigmoid() * there).sqrt()
        # Of no category: whatever class it looks most like.
        best = score.amax(dim=1, keepdim=True)
        score = torch.cat([score, best], dim=1)[:, list(scene.rows)].clamp(1e-6, 1.0)
        cost = -score.log() - 3.0 * (overlap + 1e-6).log()
        cost = cost + 1e5 * ~(inside & near)[possible]
        chosen = torch.zeros_like(cost, dtype=torch.bool)
        most = min(10, len(possible))
        for k in range(len(truth)):
            share = int(overlap[:, k].topk(most).values.sum().clamp(min=1))
            chosen[cost[:, k].topk(min(share, len(possible)), largest=False).indices, k] = True
        several = torch.nonzero(chosen.sum(dim=1) > 1)[:, 0]
        if len(several):
            chosen[several] = functional.one_hot(cost[several].argmin(1), len(truth)).bool()
        anchors = torch.nonzero(chosen.any(dim=1))[:, 0]
        return possible[anchors], chosen[anchors].float().argmax(dim=1), truth


def _exact(found: Detections) -> Detections:
    return Detections(*(part.float() for part in found))


def _is_mask_head(name: str) -> bool:
    return "mask_branch" in name or "filters" in name


def _bce(logits: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _anchor_points(size: int) -> tuple[Tensor, Tensor]:
    """Centres ``[N, 2]`` and strides ``[N]``, px."""
    points, strides = [], []
    for stride in STRIDES:
        axis = torch.arange(size // stride)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points.append((torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(points[-1]),), float(stride)))
    return torch.cat(points), torch.cat(strides)


def _all_iou(one: Tensor, other: Tensor) -> Tensor:
    """Boxes ``[N, 4]``, ``[M, 4]`` -> ``[N, M]``."""
    n, m = len(one), len(other)
    pairs = one[:, None].expand(n, m, 4), other[None].expand(n, m, 4)
    return _pair_iou(pairs[0].reshape(-1, 4), pairs[1].reshape(-1, 4)).reshape(n, m)


def _pair_iou(one: Tensor, other: Tensor) -> Tensor:
    """Boxes ``[N, 4]`` twice -> ``[N]``."""
    corner = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    both = (corner[1] - corner[0]).clamp(min=0).prod(dim=1)
    areas = (one[:, 2:] - one[:, :2]).prod(dim=1) + (other[:, 2:] - other[:, :2]).prod(dim=1)
    return both / (areas - both + 1e-6)
