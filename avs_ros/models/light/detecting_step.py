"""The light model with a detector, one frame at a time: everything that may be marked.

Which of it sounds is decided outside of the graph, from plain numbers (``inference.candidates``,
``inference.explaining``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.audio.yamnet import Yamnet
from avs_ros.models.c3n.streaming import C3NStep
from avs_ros.models.light.detector import Detector
from avs_ros.models.light.network import LightC3N


class DetectingOutput(NamedTuple):
    """``boxes`` ``[1, N, 4]``, shares of the whole frame; ``objectness`` ``[1, N]``, ``classes``
    ``[1, N, D]``, logits; ``coefficients`` ``[1, N, P]``, ``prototypes`` ``[1, P, S/8, S/8]``: as
    in :class:`Detections`.

    ``cells`` ``[1, K, 7, 7]``: probability that each cell shows a category, by the class head.
    ``maps`` ``[1, M, h, w]``: log-odds of the categories that the segmentation network knows.
    ``label`` ``[1]``: C3IM's; ``state``: what later frames need of this one.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor
    coefficients: Tensor
    prototypes: Tensor
    cells: Tensor
    maps: Tensor
    label: Tensor
    state: Tensor


class DetectingStep(nn.Module):
    """A :class:`LightC3N` and a :class:`Detector` on the same image.

    ``members``: for each category the positions among ImageNet's classes that show it.
    ``whole_size``: side of the frames that the detector sees, px.
    """

    members: Tensor

    def __init__(
        self,
        network: LightC3N,
        detector: Detector,
        members: Sequence[Sequence[int]],
        whole_size: int,
        frames_per_clip: int = 1,
    ) -> None:
        super().__init__()
        self.trunk = C3NStep(network.c3n, frames_per_clip)
        self.network, self.detector, self.whole_size = network, detector, whole_size
        table = torch.zeros(len(members), 1000)
        for category, rows in enumerate(members):
            table[category, list(rows)] = 1.0
        self.register_buffer("members", table, persistent=False)
        self.eval()
        self.requires_grad_(False)

    def forward(
        self,
        frame: Tensor,
        whole: Tensor,
        audio_feature: Tensor,
        audio_logits: Tensor,
        past: Tensor,
        shares: Tensor,
    ) -> DetectingOutput:
        """``frame`` ``[1, 3, S, S]`` in -1..1, the image stretched to a square; ``whole``
        ``[1, 3, W, W]``: at the top left of a square, to scale.  The others are those of
        :class:`C3NStep`.
        """
        trunk, network = self.trunk, self.network
        found = self.detector(whole)
        trace = trunk.backbone(network.trunk_view(frame))
        label = trunk.c3im(trace.logits, audio_logits)
        fused, state = trunk.fuse(trace, label, audio_feature, past, shares)
        objectness, paths = trunk.decoder(fused)
        hidden = trace.record["hidden"]
        objectness, semantic, _ = network.maps(frame, objectness, paths[0], hidden)
        return DetectingOutput(
            found.boxes / self.whole_size,
            found.objectness,
            found.classes,
            found.coefficients,
            found.prototypes,
            self.cells(hidden),
            network.masks(semantic, objectness),
            label,
            state,
        )

    def cells(self, hidden: Tensor) -> Tensor:
        """Class head at every position: ``[1, 1280, h, w]`` -> ``[1, K, h, w]``, 0..1."""
        head = self.network.c3n.backbone.net.classifier
        rows = functional.conv2d(hidden, head.weight[:1000, :, None, None], head.bias[:1000])
        return torch.einsum("kr,brhw->bkhw", self.members, rows.softmax(dim=1))


class BlendedAudio(AudioNetwork):
    """Two audio networks: ``short`` names one second best, ``network`` feeds C3N as well.

    The class scores are those of the mean of both probabilities; the feature is ``network``'s.
    """

    def __init__(self, network: AudioNetwork, short: Yamnet) -> None:
        super().__init__()
        self.network, self.short = network, short
        self.feature_width = network.feature_width

    def hear(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 16000]`` -> feature ``[B, A]``, logits ``[B, 527]``."""
        feature = self.network.encode(self.network.front_end(waveform))
        one = torch.sigmoid(self.network.classify(feature))
        other = torch.sigmoid(
            self.short.classify(self.short.encode(self.short.front_end(waveform)))
        )
        return feature, torch.logit(0.5 * (one + other), eps=1e-6)
