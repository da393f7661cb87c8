"""The light file's networks one frame at a time: folded, without autograd, pure functions of
tensors.

What a detector's file shows is all that may be marked; which of it sounds is decided outside of
the graph, from plain numbers (``inference.candidates``, ``inference.explaining``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.audio.yamnet import Yamnet
from avs_ros.models.c3n.streaming import C3NStep
from avs_ros.models.light.detector import Detections, Detector
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import raise_to_visible
from avs_ros.sound import SAMPLE_RATE

IMAGENET_CLASSES = 1000


class LightStepOutput(NamedTuple):
    """``masks`` log-odds ``[1, K, h, w]``, raised so that each has a visible part.

    ``gate`` ``[1, K]`` logits that the category is seen and heard, ``companion_logits`` ``[1, K]``
    that it is so, too, beside the first of them; ``label`` ``[1]``: C3IM's.

    ``state`` ``[4, 2C + 1]``: what later frames need of this one.
    """

    masks: Tensor
    gate: Tensor
    companion_logits: Tensor
    label: Tensor
    state: Tensor


class LightStep(nn.Module):
    """A :class:`LightC3N` whose gates decide which of the categories sound, for live streams: the
    same numbers, less work.

    Built from the network's present weights: build it again after changing them.
    """

    def __init__(self, network: LightC3N, frames_per_clip: int = 1) -> None:
        super().__init__()
        self.trunk = C3NStep(network.c3n, frames_per_clip)
        self.network = network
        self.eval()
        self.requires_grad_(False)

    def forward(
        self,
        frame: Tensor,
        audio_feature: Tensor,
        audio_logits: Tensor,
        heard: Tensor,
        past: Tensor,
        shares: Tensor,
    ) -> LightStepOutput:
        """``frame`` ``[1, 3, S, S]`` in -1..1; ``heard`` ``[1, K]`` category evidence.

        The other arguments are those of :class:`C3NStep`.
        """
        trunk, network = self.trunk, self.network
        trace = trunk.backbone(network.trunk_view(frame))
        label = trunk.c3im(trace.logits, audio_logits)
        fused, state = trunk.fuse(trace, label, audio_feature, past, shares)
        objectness, paths = trunk.decoder(fused)
        assert trace.hidden is not None  # it is a MobileNet
        semantic, class_maps = network.maps(paths[0], trace.hidden)
        masks, gate, companion_logits, _ = network.judge(objectness, semantic, class_maps, heard)
        return LightStepOutput(raise_to_visible(masks), gate, companion_logits, label, state)


class InstanceStep(nn.Module):
    """The detector by itself: everything that could sound, from the image alone.

    ``whole_size``: side of the frames that the detector sees, px.

    It stays in float32: its early layers take large numbers whose differences matter, in half
    precision single numbers of a mask head were off by 6 % of the largest one.
    """

    keep_single = True

    def __init__(self, detector: Detector, whole_size: int) -> None:
        super().__init__()
        self.detector, self.whole_size = detector, whole_size
        self.eval()
        self.requires_grad_(False)

    def forward(self, whole: Tensor) -> Detections:
        """``whole`` ``[1, 3, W, W]`` in -1..1: the image at the top left of a square, to scale.

        ``boxes`` are shares of the square, the rest is the detector's.
        """
        found: Detections = self.detector(whole)
        return Detections(found.boxes / self.whole_size, *found[1:])


class DetectingStep(nn.Module):
    """A :class:`Detector`, and the class head of a light model's C3N, on the same image.

    C3N's fusion and decoder are not in it: beside the detected instances their maps change
    nothing that is marked (``c3n_light_paper`` is C3N by itself).

    ``classifier``: C3N's MobileNetV2, which sees frames of ``trunk_size`` px.  ``members``: for
    each category the positions among ImageNet's classes that show it.  ``whole_size``: side of the
    frames that the detector sees, px.
    """

    # Inputs that a part in float32 takes.
    single_inputs = ("whole",)
    outputs = (*Detections._fields, "cells")
    members: Tensor

    def __init__(
        self,
        classifier: Any,
        detector: Detector,
        members: Sequence[Sequence[int]],
        whole_size: int,
        trunk_size: int,
    ) -> None:
        super().__init__()
        self.classifier, self.trunk_size = classifier, trunk_size
        self.instances = InstanceStep(detector, whole_size)
        table = torch.zeros(len(members), IMAGENET_CLASSES)
        for category, rows in enumerate(members):
            table[category, list(rows)] = 1.0
        self.register_buffer("members", table, persistent=False)
        self.eval()
        self.requires_grad_(False)

    def forward(self, frame: Tensor, whole: Tensor) -> tuple[Tensor, ...]:
        """``frame`` ``[1, 3, S, S]`` in -1..1, the image stretched to a square; ``whole``
        ``[1, 3, W, W]``: at the top left of a square, to scale.

        Returns what :class:`InstanceStep` does, and ``cells`` ``[1, K, 7, 7]``: probability that
        each shows a category, by the class head at every position.
        """
        detected: Detections = self.instances(whole)
        side = self.trunk_size, self.trunk_size
        view = functional.interpolate(frame, size=side, mode="bilinear", align_corners=False)
        hidden = self.classifier.forward_features(view)
        head = self.classifier.classifier
        weight, bias = head.weight[:IMAGENET_CLASSES], head.bias[:IMAGENET_CLASSES]
        rows = functional.conv2d(hidden, weight[..., None, None], bias)
        return *detected, torch.einsum("kr,brhw->bkhw", self.members, rows.softmax(dim=1))


class TwoSpans(nn.Module):
    """Two audio networks: ``short`` names the last second, ``network`` the last three."""

    seconds = 3

    def __init__(self, network: AudioNetwork, short: Yamnet) -> None:
        super().__init__()
        self.network, self.short = network, short

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """``[B, 48000]`` -> ``network``'s feature ``[B, A]``, AudioSet logits ``[B, 527]`` of the
        last second, and of all three.
        """
        feature, long = self.network.hear(waveform)
        return feature, self.short.hear(waveform[:, -SAMPLE_RATE:])[1], long
