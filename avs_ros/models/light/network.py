"""LightC3N: C3N's own modules in small, and a semantic branch whose classes the sound selects.

The trunk is C3N as it stands (backbone with class head, C3IM, class-activated weights, CCAM,
ASPP, TPAVI, decoder).  Beside its mask head stand maps of the categories that can be marked, made
from the decoder's last block and the class head applied at every position; a learned class-audio
affinity and an accept gate decide which of them sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.audio.efficientat import EfficientAT
from avs_ros.models.c3n.c3im import Matrix
from avs_ros.models.c3n.ccam import class_activated_weights
from avs_ros.models.c3n.network import C3N
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.selection import (
    NEVER,
    AcceptGate,
    CategoryMasks,
    ClassAudioAffinity,
    CompanionGate,
    visible_evidence,
)

SHAPE_WIDTH = 8


@dataclass(frozen=True)
class LightOutput:
    """B pairs, K categories, V sound classes, R class rows; C3N sees frames of ``[H, W]``, px.

    Maps are at stride 4 of these unless stated.

    ``masks``: log-odds ``[B, K, h, w]`` of each category's layer.  ``semantic``: ``[B, K, h, w]``
    scores against a background of 0.  ``class_maps``: log-probability ``[B, K, H/32, W/32]``.
    ``objectness``: C3N's own mask logits ``[B, 1, h, w]``.  ``sound_classes``: ``[B, V]`` logits.
    ``gate``: ``[B, K]`` logits that the category is seen and heard; ``companion_logits``: that it
    is so, too, beside the one that the gate likes best.  ``labels``: C3IM's ``[B]``.
    ``heard``: ``[B, K]``; ``seen``: ``[B, K, 3]``.
    """

    masks: Tensor
    semantic: Tensor
    class_maps: Tensor
    objectness: Tensor
    sound_classes: Tensor
    gate: Tensor
    companion_logits: Tensor
    labels: Tensor
    heard: Tensor
    seen: Tensor


class LightC3N(nn.Module):
    """Frames and what is heard -> category layers, their gates, and the unified label.

    ``similarity``: ``[R, 527]``, R class rows.  ``members``: ``[K, R]`` 0|1, which rows show
    which category.  ``sound_class_category``: for each sound class the category it points at.
    ``overlaps``: pairs (category, category that may hold it), e.g. guitar and person.
    ``audio_encoder``: the audio network, 16 kHz second -> feature ``[B, 384]`` and AudioSet logits
    ``[B, 527]``. ``image_size``: side of the frames, px.  ``trunk_size``: side at which C3N sees
    them (0: the same).  ``companions``: whether a :class:`CompanionGate` judges what sounds beside
    the first.
    """

    members: Tensor
    overlaps: Tensor

    def __init__(
        self,
        similarity: Matrix,
        members: Tensor,
        sound_class_category: Sequence[int],
        channels: int = 48,
        image_size: int = 224,
        overlaps: Sequence[tuple[int, int]] = (),
        *,
        trunk_size: int = 0,
        companions: bool = False,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        categories = members.shape[0]
        self.audio_encoder = EfficientAT()
        self.c3n = C3N(
            "mobilenetv2_100",
            EfficientAT.feature_width,
            similarity,
            channels=channels,
            decoder="light",
            image_size=trunk_size or image_size,
        )
        self.semantic = nn.Conv2d(channels, categories, 1)
        self.shape = nn.Conv2d(channels, SHAPE_WIDTH, 1)
        self.shape_class = nn.Linear(3, SHAPE_WIDTH)
        self.shape_score = nn.Linear(SHAPE_WIDTH, 1)
        self.objectness_gain = nn.Parameter(torch.tensor(0.2))
        self.category_masks = CategoryMasks()
        self.affinity = ClassAudioAffinity(sound_class_category, categories)
        self.gate = AcceptGate()
        self.companion = CompanionGate(categories) if companions else None
        self.register_buffer("members", members.float(), persistent=False)
        table = torch.zeros(categories, categories)
        for holder_of, holder in overlaps:
            table[holder_of, holder] = 1.0
        self.register_buffer("overlaps", table, persistent=False)

    def fold(self) -> LightC3N:
        """Fold the batch norms of both classifiers away (the form that is trained and kept)."""
        fold_batch_norm(self.audio_encoder)
        fold_batch_norm(self.c3n.backbone)
        return self

    def train(self, mode: bool = True) -> LightC3N:
        """Switch to training mode; TPAVI's batch norm keeps to its affine part."""
        super().train(mode)
        for block in self.c3n.tpavi:
            block.project_norm.eval()  # type: ignore[union-attr]
        return self

    def category_maps(self, hidden: Tensor) -> Tensor:
        """Class head at every position: ``[B, 1280, h, w]`` -> log-probability ``[B, K, h, w]``.

        A category competes with ImageNet's rows, not with the other categories' own ones: a guitar
        that a person holds is a guitar.
        """
        head = self.c3n.backbone.net.classifier
        rows = functional.conv2d(hidden, head.weight[:, :, None, None], head.bias)
        categories = self.members.shape[0]
        common, own = rows[:, :-categories], rows[:, -categories:]
        peak = rows.amax(dim=1, keepdim=True)
        common, own = (common - peak).exp(), (own - peak).exp()
        shown = torch.einsum("kr,brhw->bkhw", self.members[:, :-categories], common) + own
        every = common.sum(dim=1, keepdim=True) + own
        return (shown / every + 1e-6).log()

    def masks(self, semantic: Tensor, objectness: Tensor, heard: Tensor | None = None) -> Tensor:
        """Each category's log-odds, lifted by C3N's mask; see :class:`CategoryMasks`."""
        lift = self.objectness_gain * objectness
        return self.category_masks(semantic, lift, self.overlaps, heard)

    def forward(self, frames: Tensor, feature: Tensor, audio_logits: Tensor) -> LightOutput:
        """Pixels in -1..1 ``[B, 3, S, S]``, audio ``[B, 384]`` and ``[B, 527]``.

        Each pair stands alone (TPAVI over a clip of one).
        """
        training = torch.is_grad_enabled()
        taps = self.c3n.backbone(self.trunk_view(frames))
        labels = self.c3n.c3im(taps.logits, audio_logits)
        weights = class_activated_weights(taps, labels, keep_graph=training)
        features = taps.features if training else tuple(x.detach() for x in taps.features)
        objectness, decoded, hidden = self.fuse(features, weights, feature)
        semantic, class_maps = self.maps(decoded, hidden)
        sound_classes = self.affinity(audio_logits)
        heard = self.affinity.by_category(sound_classes)
        masks, gate, companion_logits, seen = self.judge(objectness, semantic, class_maps, heard)
        return LightOutput(
            masks, semantic, class_maps, objectness, sound_classes, gate, companion_logits,
            labels, heard, seen,
        )  # fmt: skip

    def judge(
        self, objectness: Tensor, semantic: Tensor, class_maps: Tensor, heard: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``masks``, ``gate``, ``companion_logits``, ``seen`` as in :class:`LightOutput`."""
        seen = visible_evidence(self.masks(semantic, objectness), class_maps)
        gate = self.gate(heard, seen)
        masks = self.masks(semantic, objectness, heard)
        return masks, gate, self.companion_logits(gate, heard, seen), seen

    def companion_logits(self, gate: Tensor, heard: Tensor, seen: Tensor) -> Tensor:
        """Logits ``[B, K]`` of what sounds beside the first of ``gate`` ``[B, K]``.

        Without a companion gate nothing does.
        """
        if self.companion is None:
            return gate * 0.0 + NEVER
        return self.companion(heard, seen, gate.argmax(dim=1))

    def trunk_view(self, frames: Tensor) -> Tensor:
        """Frames ``[B, 3, S, S]`` at the size at which C3N sees them (to scale, if S differs)."""
        share = self.c3n.image_size / self.image_size
        if share == 1.0:
            return frames
        side = max(32, round(int(frames.shape[2]) * share / 32) * 32)
        return functional.interpolate(
            frames, size=(side, side), mode="bilinear", align_corners=False
        )

    def fuse(
        self, features: tuple[Tensor, ...], weights: tuple[Tensor, ...], feature: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Backbone stages, class-activated weights, audio -> what C3N makes of them.

        Its mask ``[B, 1, h, w]``, its decoder's last block ``[B, C, h, w]`` and the class head's
        hidden layer ``[B, 1280, H/32, W/32]``.
        """
        *_, fused = self.c3n.fuse(features, weights, feature, 1)
        objectness, paths = self.c3n.decoder(fused)
        net = self.c3n.backbone.net
        return objectness, paths[0], net.bn2(net.conv_head(features[3]))

    def maps(self, decoded: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`fuse` gives -> ``semantic``, ``class_maps`` as in :class:`LightOutput`.

        Own evidence per category plus what the class-activated map says, shape shared by all.
        The shared part works at stride 8: it carries K times the shared width.
        """
        class_maps = self.category_maps(hidden)
        coarse = functional.avg_pool2d(decoded, 2)
        size = coarse.shape[2:]
        peak = class_maps.amax(dim=(2, 3), keepdim=True).expand_as(class_maps)
        cues = torch.stack([class_maps, class_maps - peak, peak], dim=-1) * 0.25
        cues = self.shape_class(cues).permute(0, 1, 4, 2, 3)  # [B, K, width, H/32, W/32]
        b, k, width, h, w = cues.shape
        up = functional.interpolate(
            cues.reshape(b, k * width, h, w), size=size, mode="bilinear", align_corners=False
        ).reshape(b, k, width, *size)
        shape = torch.relu(up + self.shape(coarse)[:, None])
        score = torch.einsum("bkchw,c->bkhw", shape, self.shape_score.weight[0])
        score = functional.interpolate(
            score + self.shape_score.bias, scale_factor=2, mode="bilinear", align_corners=False
        )
        return self.semantic(decoded) + score, class_maps
