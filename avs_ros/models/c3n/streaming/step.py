"""One frame through C3N, given what earlier seconds left behind: pure tensors in and out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from avs_ros.errors import ModelError
from avs_ros.models.c3n.backbone import (
    STAGES,
    Backbone,
    MobileNetV2,
    PyramidVisionTransformer,
    SwinTransformer,
)
from avs_ros.models.c3n.ccam import cognitive_consensus_attention
from avs_ros.models.c3n.network import C3N
from avs_ros.models.c3n.streaming.folded import (
    FoldedAudioVisualInteraction,
    FoldedPyramidPooling,
)
from avs_ros.models.c3n.streaming.traced import Trace, TracedBackbone
from avs_ros.models.c3n.streaming.traced_mobilenet import TracedMobileNetV2
from avs_ros.models.c3n.streaming.traced_pvt import TracedPyramidVisionTransformer
from avs_ros.models.c3n.streaming.traced_swin import TracedSwinTransformer


class StepOutput(NamedTuple):
    """``logits`` ``[1, 1, H, W]`` (light decoder: at stride 4).  ``label`` int64 ``[1]``.

    ``visual_logits`` ``[1, K]``.  ``state`` ``[4, 2C + 1]``: what later frames need of this one.
    """

    logits: Tensor
    label: Tensor
    visual_logits: Tensor
    state: Tensor


class C3NStep(nn.Module):
    """The per-frame part of a C3N in evaluation mode, folded; exact.

    Only TPAVI mixes frames, and what it takes from another frame is a *state* of 2C + 1 numbers
    per stage, so a live stream runs everything once per new frame.  The step is a pure function
    of static shapes: it can be exported or captured.  It is built from the network's present
    weights: build it again after changing them.
    """

    def __init__(self, network: C3N, frames_per_clip: int = 5) -> None:
        super().__init__()
        if frames_per_clip < 1:
            raise ModelError(f"a clip needs at least one frame, got {frames_per_clip}")
        self.frames_per_clip = frames_per_clip
        self.image_size = network.image_size
        self.audio_width = network.audio_width
        self.state_width = 2 * network.channels + 1
        self.backbone = traced(network.backbone)
        self.c3im = network.c3im
        sides = [network.image_size // stride for stride in (4, 8, 16, 32)]
        self.aspp = nn.ModuleList(
            FoldedPyramidPooling(aspp, side)  # type: ignore[arg-type]
            for aspp, side in zip(network.aspp, sides, strict=True)
        )
        self.tpavi = nn.ModuleList(
            FoldedAudioVisualInteraction(tpavi)  # type: ignore[arg-type]
            for tpavi in network.tpavi
        )
        self.decoder = network.decoder
        self.eval()
        self.requires_grad_(False)

    def forward(
        self,
        frame: Tensor,
        audio_feature: Tensor,
        audio_logits: Tensor,
        past: Tensor,
        shares: Tensor,
    ) -> StepOutput:
        """Segment one frame.

        ``frame`` ``[1, 3, S, S]`` normalised; ``audio_feature`` ``[1, A]``; ``audio_logits``
        ``[1, 527]``; ``past`` ``[T - 1, 4, 2C + 1]``: states of earlier frames, in any order;
        ``shares`` ``[T]``: 1 / (number of frames there are) for each of ``past`` and, last, for
        this frame; 0 for a row of ``past`` that is not there.
        """
        trace = self.backbone(frame)
        label = self.c3im(trace.logits, audio_logits)
        fused, state = self.fuse(trace, label, audio_feature, past, shares)
        logits, _ = self.decoder(fused)
        return StepOutput(logits, label, trace.logits, state)

    def fuse(
        self, trace: Trace, label: Tensor, audio_feature: Tensor, past: Tensor, shares: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """CCAM, ASPP and TPAVI of every stage: what the decoder takes, and the new ``state``."""
        weights = self.backbone.channel_weights(trace, label)
        states, fused = [], []
        for stage in range(STAGES):
            gated = cognitive_consensus_attention(trace.features[stage], weights[stage])
            x = self.aspp[stage](gated)
            state = self.tpavi[stage].state(x, audio_feature)  # type: ignore[operator]
            rows = torch.cat([past[:, stage], state])[None]
            fused.append(self.tpavi[stage](x, rows, shares))
            states.append(state)
        return tuple(fused), torch.cat(states)


def traced(backbone: Backbone) -> TracedBackbone:
    """The backbone with a hand-written backward pass, sharing its weights."""
    if isinstance(backbone, PyramidVisionTransformer):
        return TracedPyramidVisionTransformer(backbone)
    if isinstance(backbone, SwinTransformer):
        return TracedSwinTransformer(backbone)
    if isinstance(backbone, MobileNetV2):
        return TracedMobileNetV2(backbone)
    raise ModelError(f"{type(backbone).__name__} has no streaming form")
