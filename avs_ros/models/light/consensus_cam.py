"""The training-free baseline: where the class that image and sound agree on is activated.

Nothing but two classifiers and a label similarity: C3IM's consensus chooses the class (Shi et
al., IEEE TMM 2024, figure 3), and its class activation map (Zhou et al., CVPR 2016) is the mask.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.c3n.backbone import STAGES, MobileNetV2
from avs_ros.models.c3n.c3im import CognitiveConsensusInference

# Cells of the map for each cell of the last stage: interpolated, so that outlines are round.
FINER = 8


class CamOutput(NamedTuple):
    """``cam`` ``[1, 1, S/4, S/4]``, 0..1, its largest value 1; ``label`` int64 ``[1]``."""

    cam: Tensor
    label: Tensor


class ConsensusCam(nn.Module):
    """Frame and AudioSet logits -> activation map of what they agree on; nothing is learned here.

    ``sharpness`` s: rows weigh with (M_cof's row maximum)^s, normalised: a soft consensus, so
    that the breeds of a dog share one map.  0: the arg-max row alone, as in the paper.
    """

    def __init__(
        self,
        backbone: MobileNetV2,
        c3im: CognitiveConsensusInference,
        image_size: int = 224,
        sharpness: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.c3im = c3im
        self.image_size = image_size
        self.sharpness = sharpness
        self.eval()
        self.requires_grad_(False)

    def forward(self, frame: Tensor, audio_logits: Tensor) -> CamOutput:
        """``frame`` ``[1, 3, S, S]`` in -1..1; ``audio_logits`` ``[1, 527]``."""
        x, net = frame, self.backbone.net
        for index in range(STAGES):
            x = self.backbone.stage(index, x)
        hidden = net.bn2(net.conv_head(x))
        scores = self.c3im.row_scores(net.classifier(hidden.mean(dim=(2, 3))), audio_logits)
        label = scores.argmax(dim=1)
        if self.sharpness > 0:
            rows = (self.sharpness * scores.clamp(min=1e-6).log()).softmax(dim=1)
        else:
            rows = functional.one_hot(label, scores.shape[1]).to(scores.dtype)
        weights = rows @ net.classifier.weight
        cam = torch.einsum("bc,bchw->bhw", weights, hidden)[:, None]
        cam = functional.interpolate(
            cam, scale_factor=FINER, mode="bilinear", align_corners=False
        ).clamp(min=0.0)
        return CamOutput(cam / cam.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6), label)
