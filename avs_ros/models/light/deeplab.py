"""DeepLabV3 on MobileNetV2: which class of Pascal VOC every pixel shows.

Chen et al., *Rethinking Atrous Convolution for Semantic Image Segmentation* (2017), in the small
form of TensorFlow's model zoo: output stride 16, image pooling, no atrous pyramid.
"""

from __future__ import annotations

from typing import NamedTuple

import timm
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

VOC_CLASSES = 21
WIDTH = 256
# Channels of the two feature maps that are used: at stride 4 and at stride 16.
FINE_WIDTH, DEEP_WIDTH = 24, 320


class VocOutput(NamedTuple):
    """``classes`` logits ``[B, 21, h, w]`` and ``hidden`` ``[B, 256, h, w]`` at stride 16.

    ``fine`` ``[B, 24, 4 h - 3, 4 w - 3]``: features at stride 4.  Positions are pixels 16 i and
    4 i of the image, corner to corner.
    """

    classes: Tensor
    hidden: Tensor
    fine: Tensor


class DeepLabV3(nn.Module):
    """Pixels in -1..1 ``[B, 3, S, S]`` -> :class:`VocOutput`, h = w = S // 16 + 1.

    S is a multiple of 16; the image is continued by one pixel so that positions of every
    stride lie on its corners, as the published network's 513 pixels have it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(
            "mobilenetv2_100",
            pretrained=False,
            features_only=True,
            output_stride=16,
            out_indices=(1, 4),
        )
        self.aspp = nn.Conv2d(DEEP_WIDTH, WIDTH, 1)
        self.image_pooling = nn.Conv2d(DEEP_WIDTH, WIDTH, 1)
        self.project = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.classify = nn.Conv2d(WIDTH, VOC_CLASSES, 1)

    def train(self, mode: bool = True) -> DeepLabV3:
        """Switch to training mode; batch norm, where it is not folded, keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, frames: Tensor) -> VocOutput:
        """See the class."""
        fine, deep = self.backbone(functional.pad(frames, (0, 1, 0, 1), mode="replicate"))
        local = torch.relu(self.aspp(deep))
        whole = torch.relu(self.image_pooling(deep.mean(dim=(2, 3), keepdim=True)))
        # The same as on both side by side, without spreading the one over all positions.
        weight, bias = self.project.weight, self.project.bias
        spread = functional.conv2d(whole, weight[:, :WIDTH], bias)
        hidden = torch.relu(functional.conv2d(local, weight[:, WIDTH:]) + spread)
        return VocOutput(self.classify(hidden), hidden, fine)
