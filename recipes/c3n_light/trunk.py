"""C3N's trunk by itself, with parts that can be changed: what the ablation compares.

Its own mask is the whole answer, as with the authors; no category, affinity or gate decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.c3n.ccam import class_activated_weights, cognitive_consensus_attention
from avs_ros.models.light.network import LightC3N
from avs_ros.segmentation import Bytes, Float
from recipes.c3n_light.evidence import category_truth
from recipes.c3n_light.joint import Pair, PairSampler, masked_loss, sounding_truth
from recipes.c3n_light.visual_stage import pixels


@dataclass(frozen=True)
class Sensed:
    """Pairs as the trunk meets them: B of them; four stages, stage 1 first.

    ``features`` ``[B, C_i, h_i, w_i]``; ``weights`` ``[B, C_i]``, class-activated; ``cam``
    ``[B, 1, h, w]``, the unified label's activation, 0..1; ``sound`` ``[B, A]``.
    """

    features: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    cam: Tensor
    sound: Tensor

    def pick(self, index: Tensor) -> Sensed:
        """Some of the pairs, in single precision."""
        return Sensed(
            tuple(x[index].float() for x in self.features),
            tuple(x[index].float() for x in self.weights),
            self.cam[index].float(),
            self.sound[index].float(),
        )

    @staticmethod
    def joined(parts: Sequence[Sensed]) -> Sensed:
        """One after the other, in half precision, to be kept."""
        return Sensed(
            tuple(torch.cat(x).half() for x in zip(*(p.features for p in parts), strict=True)),
            tuple(torch.cat(x) for x in zip(*(p.weights for p in parts), strict=True)),
            torch.cat([p.cam for p in parts]),
            torch.cat([p.sound for p in parts]),
        )


def sense(net: LightC3N, frames: Tensor, windows: Tensor) -> Sensed:
    """``frames`` ``[B, 3, S, S]``, ``windows`` ``[B, 16000]``; keeps a graph where grad is on."""
    keep = torch.is_grad_enabled()
    with torch.no_grad():
        sound, logits = net.audio_encoder(windows)
    backbone = net.c3n.backbone
    taps = backbone(frames)
    labels = net.c3n.c3im(taps.logits, logits)
    weights = class_activated_weights(taps, labels, keep_graph=keep)
    features = taps.features if keep else tuple(x.detach() for x in taps.features)
    with torch.no_grad():
        inner = backbone.net
        hidden = inner.bn2(inner.conv_head(features[3]))
        cam = torch.einsum("bc,bchw->bhw", inner.classifier.weight[labels], hidden)[:, None]
        cam = cam.clamp(min=0)
        cam = cam / cam.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    return Sensed(features, weights, cam, sound)


class Trunk(nn.Module):
    """CCAM, ASPP, TPAVI and decoder of a light network, with the switches of the settings."""

    def __init__(self, net: LightC3N, gates: str = "ccam", tpavi: bool = True) -> None:
        super().__init__()
        c3n = net.c3n
        self.gates, self.with_tpavi = gates, tpavi
        self.aspp, self.tpavi, self.decoder = c3n.aspp, c3n.tpavi, c3n.decoder
        stages = len(c3n.aspp)
        # Authors' gates lie near 0.5: a unit vector's entries are about 1 / sqrt(C).
        self.strength = nn.Parameter(torch.ones(stages))
        self.prior = nn.ModuleList(nn.Conv2d(1, c3n.channels, 1) for _ in range(stages))
        for layer in self.prior:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, sensed: Sensed) -> Tensor:
        """Mask logits ``[B, 1, S/4, S/4]`` of the sounding object."""
        stages = []
        for i, (x, w) in enumerate(zip(sensed.features, sensed.weights, strict=True)):
            y = self.aspp[i](self._gated(i, x, w))
            if self.gates != "ccam":
                prior = functional.interpolate(
                    sensed.cam, size=y.shape[2:], mode="bilinear", align_corners=False
                )
                y = y + self.prior[i](prior)
            stages.append(self.tpavi[i](y, sensed.sound, 1) if self.with_tpavi else y)
        logits: Tensor = self.decoder(tuple(stages))[0]
        return logits

    def _gated(self, stage: int, x: Tensor, weights: Tensor) -> Tensor:
        if self.gates != "strong":
            return cognitive_consensus_attention(x, weights)
        direction = functional.normalize(weights, dim=1) * weights.shape[1] ** 0.5
        chosen = x * torch.sigmoid(self.strength[stage] * direction)[:, :, None, None]
        return chosen * torch.sigmoid(chosen.mean(dim=1, keepdim=True))


class TrunkStage:
    """Mask loss of the trunk alone, on matched, mismatched and silent pairs.

    With a frozen backbone what it says of ``pairs`` pairs is computed once, in ``prepare``.
    """

    name, power = "trunk", 0.9

    def __init__(
        self, net: LightC3N, trunk: Trunk, sampler: PairSampler, size: int, batch: int, seed: int
    ) -> None:
        self.net, self.trunk, self.sampler = net, trunk, sampler
        self.size, self.batch, self.key = size, batch, seed
        self.network = nn.ModuleDict({"backbone": net.c3n.backbone, "trunk": trunk})
        self.kept: tuple[Sensed, Tensor, Tensor] | None = None
        net.train()
        net.audio_encoder.eval().requires_grad_(False)

    def prepare(self, pairs: int) -> None:
        """Freeze the backbone and keep what it says of ``pairs`` pairs."""
        self.net.c3n.backbone.requires_grad_(False)
        parts, truths = [], []
        for first in range(0, pairs, self.batch):
            drawn = self._draw(first)
            with torch.no_grad():
                parts.append(self._sense(drawn))
            truths.append(self._truth(drawn))
        sounding, known = (torch.cat(x) for x in zip(*truths, strict=True))
        self.kept = Sensed.joined(parts), sounding, known

    def groups(self) -> list[dict[str, Any]]:
        """Trunk fast, backbone (unless frozen) slowly."""
        slow = [p for p in self.net.c3n.backbone.parameters() if p.requires_grad]
        unused = [self.trunk.strength, *self.trunk.prior.parameters()]
        skip = {id(p) for p in unused} if self.trunk.gates == "ccam" else set()
        fast = [p for p in self.trunk.parameters() if id(p) not in skip]
        groups: list[dict[str, Any]] = [{"params": fast, "lr": 2e-3, "weight_decay": 1e-4}]
        return groups + ([{"params": slow, "lr": 1e-4, "weight_decay": 1e-4}] if slow else [])

    def loss(self, step: int, done: float) -> Tensor:
        """BCE over known pixels and Dice where something sounds."""
        if self.kept is None:
            drawn = self._draw(step * self.batch)
            sensed, (sounding, known) = self._sense(drawn), self._truth(drawn)
        else:
            every, truths, knowns = self.kept
            rng = torch.Generator().manual_seed(self.key * 1_000_003 + step)
            index = torch.randperm(len(truths), generator=rng)[: self.batch]
            sensed, sounding, known = every.pick(index), truths[index], knowns[index]
        logits = self.trunk(sensed)[:, 0]
        return masked_loss(logits, sounding.float(), known.float())

    def _draw(self, first: int) -> list[Pair]:
        self.sampler.seed(self.key, first)
        return [self.sampler.draw() for _ in range(self.batch)]

    def _sense(self, drawn: Sequence[Pair]) -> Sensed:
        frames = pixels(np.stack([pair[0] for pair in drawn]))
        return sense(self.net, frames, torch.from_numpy(np.stack([pair[2] for pair in drawn])))

    def _truth(self, drawn: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        masks = torch.from_numpy(np.stack([pair[1] for pair in drawn])).long()
        truth = category_truth(torch.from_numpy(np.stack([pair[3] for pair in drawn])))
        sounding, known = sounding_truth(masks, truth, (self.size // 4, self.size // 4))
        return sounding.to(torch.uint8), known.to(torch.uint8)


@torch.no_grad()
def answers_of(trunk: Trunk, sensed: Sensed, batch: int = 16) -> list[Float]:
    """Mask probabilities ``[S/4, S/4]`` of every pair."""
    trunk.eval()
    out: list[Float] = []
    for first in range(0, len(sensed.sound), batch):
        index = torch.arange(first, min(first + batch, len(sensed.sound)))
        out.extend(torch.sigmoid(trunk(sensed.pick(index))[:, 0]).numpy())
    return out


def sense_all(net: LightC3N, frames: Sequence[Bytes], windows: Sequence[Float]) -> Sensed:
    """Every pair, without gradients; frames uint8 ``[S, S, 3]`` in the network's size."""
    net.eval()
    parts = []
    with torch.no_grad():
        for first in range(0, len(frames), 8):
            part = slice(first, first + 8)
            heard = torch.from_numpy(np.stack(windows[part]))
            parts.append(sense(net, pixels(np.stack(frames[part])), heard))
    return Sensed.joined(parts)
