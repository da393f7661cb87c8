"""Teaching the visual half: what every pixel shows, before any sound chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.vocabulary import CATEGORIES, OVERLAPS, SOUND_CLASS_CATEGORY
from avs_ros.models.weight_file import read_weight_file
from avs_ros.segmentation import Bytes
from recipes.c3n_light.images import IGNORE
from recipes.c3n_light.scenes import SceneSampler
from recipes.c3n_light.similarity import label_similarity, members

CHANNELS = 32
IMAGE_SIZE = 224
# Most of the visual training is done on smaller images: half the cost per image.
SMALL_SIZE = 160


def new_network(data: Path, channels: int = CHANNELS, image_size: int = IMAGE_SIZE) -> LightC3N:
    """The light network with its backbone's starting weights, batch norms folded."""
    net = LightC3N(
        label_similarity(), members(), SOUND_CLASS_CATEGORY, channels, image_size, OVERLAPS
    )
    start = read_weight_file(data / "weights" / "mobilenet_v2_imagenet.safetensors").state_dict()
    own = net.c3n.backbone.net.state_dict()
    head = {name: start.pop(name) for name in ("classifier.weight", "classifier.bias")}
    own.update({name: tensor for name, tensor in start.items() if name in own})
    table = members()[:, :1000]
    share = table / table.sum(1, keepdim=True).clamp(min=1)
    own["classifier.weight"] = torch.cat(
        [head["classifier.weight"], share @ head["classifier.weight"]]
    )
    own["classifier.bias"] = torch.cat(
        [head["classifier.bias"], share @ head["classifier.bias"] - 1.0]
    )
    net.c3n.backbone.net.load_state_dict(own)
    with torch.no_grad():
        nn.init.constant_(net.semantic.bias, -2.0)  # type: ignore[arg-type]
        net.shape_score.bias.fill_(-2.0)
    return net.fold()


def pixels(images: np.ndarray) -> Tensor:
    """uint8 ``[B, S, S, 3]`` -> float ``[B, 3, S, S]`` in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def map_losses(semantic: Tensor, class_maps: Tensor, masks: Tensor) -> Tensor:
    """What the maps say against ``[B, S, S]`` category masks (long, ``IGNORE`` unknown)."""
    size = semantic.shape[2:]
    small = functional.interpolate(masks[:, None].float(), size=size, mode="nearest")[:, 0].long()
    known = (small != IGNORE).float()
    with_nothing = functional.pad(semantic, (0, 0, 0, 0, 1, 0))  # class 0: nothing that sounds
    target = small.masked_fill(small == IGNORE, -100)
    pixel = functional.cross_entropy(with_nothing, target)
    probability = with_nothing.softmax(1)[:, 1:]
    truth = functional.one_hot(small.clamp(max=len(CATEGORIES)), len(CATEGORIES) + 1)
    truth = truth.permute(0, 3, 1, 2)[:, 1:].float() * known[:, None]
    probability = probability * known[:, None]
    area = truth.sum((2, 3))
    present = area > 8
    overlap = 2 * (probability * truth).sum((2, 3)) + 1
    dice = 1 - overlap / (probability.sum((2, 3)) + area + 1)
    dice_loss = dice[present].mean() if bool(present.any()) else dice.sum() * 0
    return pixel + 0.5 * dice_loss + 0.4 * coarse_loss(class_maps, truth, known)


def coarse_loss(class_maps: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Class-activated maps against the share of each cell that a category covers."""
    cells = (class_maps.shape[2], class_maps.shape[3])
    weight = functional.adaptive_avg_pool2d(known[:, None], cells)
    share = functional.adaptive_avg_pool2d(truth, cells) / weight.clamp(min=1e-3)
    share = share.clamp(0, 1)
    absent = (1 - class_maps.exp()).clamp(min=1e-4).log()
    loss = -(share * class_maps + (1 - share) * absent).sum(1)
    return (loss * weight[:, 0]).sum() / weight.sum().clamp(min=1)


def parameter_groups(net: LightC3N, backbone: float, rest: float) -> list[dict[str, Any]]:
    """Optimiser groups: pretrained parts slowly, new parts fast; frozen ones not at all."""
    slow = [p for p in net.c3n.backbone.parameters() if p.requires_grad]
    known = {id(p) for p in (*net.c3n.backbone.parameters(), *net.audio_encoder.parameters())}
    fast = [p for p in net.parameters() if id(p) not in known]
    return [
        {"params": slow, "lr": backbone, "weight_decay": 1e-4},
        {"params": fast, "lr": rest, "weight_decay": 1e-4},
    ]


class VisualStage:
    """Maps and class head, in small images first and in the network's own size at the end.

    The first stage of the backbone stays as it is here: it is the costly one, and the last step
    of the training moves it.  The gates of CCAM are neutral: no sound, no unified label.
    """

    name, power = "visual", 0.9

    def __init__(
        self, net: LightC3N, small: SceneSampler, large: SceneSampler, batch: int, seed: int
    ) -> None:
        self.network, self.batch, self.key = net, batch, seed
        self._samplers = (small, large)
        net.train()

    def groups(self) -> list[dict[str, Any]]:
        """Backbone slowly, the rest fast."""
        return parameter_groups(self.network, 1e-4, 2e-3)

    def loss(self, step: int, done: float) -> Tensor:
        """Maps against masks, class head against ImageNet's classes."""
        sampler = self._samplers[int(done > 0.75)]
        sampler.rng = np.random.default_rng((self.key, step))
        return scene_loss(self.network, [sampler.draw() for _ in range(self.batch)])


def scene_loss(net: LightC3N, scenes: Sequence[tuple[Bytes, Bytes, int]]) -> Tensor:
    """What the maps and the class head say of scenes (see ``SceneSampler.draw``)."""
    where = net.semantic.weight.device
    frames = pixels(np.stack([scene[0] for scene in scenes])).to(where)
    masks = torch.from_numpy(np.stack([scene[1] for scene in scenes])).long().to(where)
    rows = torch.tensor([scene[2] for scene in scenes], device=where)
    semantic, class_maps, logits = see(net, frames)
    loss = map_losses(semantic, class_maps, masks)
    if bool((rows >= 0).any()):
        loss = loss + 0.05 * functional.cross_entropy(logits[rows >= 0], rows[rows >= 0])
    return loss


def see(net: LightC3N, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frames -> (semantic, class maps, class logits), with neutral gates and without a sound."""
    backbone = net.c3n.backbone
    with torch.no_grad():
        x = backbone.stage(0, net.trunk_view(frames))
    features = [x]
    for index in (1, 2, 3):
        features.append(backbone.stage(index, features[-1]))
    weights = tuple(f.new_zeros(f.shape[:2]) for f in features)
    silence = frames.new_zeros(frames.shape[0], net.c3n.audio_width)
    _, decoded, hidden = net.fuse(tuple(features), weights, silence)
    semantic, class_maps = net.maps(decoded, hidden)
    return semantic, class_maps, class_logits(net, hidden)


def class_logits(net: LightC3N, hidden: Tensor) -> Tensor:
    """Class head on its hidden layer ``[B, 1280, h, w]`` -> ``[B, R]``."""
    out: Tensor = net.c3n.backbone.net.classifier(hidden.mean(dim=(2, 3)))
    return out
