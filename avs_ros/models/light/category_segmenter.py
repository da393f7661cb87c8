"""Category maps from a segmentation network: what the class head's cells are too coarse for.

DeepLabV3 on MobileNetV2 says which class of Pascal VOC every pixel shows: Chen et al.,
*Rethinking Atrous Convolution for Semantic Image Segmentation* (2017), in the small form of
TensorFlow's model zoo: output stride 16, image pooling, no atrous pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import timm
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

VOC_CLASSES = 21
WIDTH = 256
# Channels of the two feature maps that are used: at stride 4 and at stride 16.
FINE_WIDTH, DEEP_WIDTH = 24, 320
NARROW, MIXED = 16, 48


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
            "mobilenetv2_100", pretrained=False, features_only=True, output_stride=16,
            out_indices=(1, 4),
        )  # fmt: skip
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


class CategorySegmenter(nn.Module):
    """A DeepLabV3 of its own, joined with the maps that C3N's decoder and class head give.

    Each category's map is a mixture of the VOC classes' logits, plus a share of the map it had,
    plus what a small decoder at stride 4 adds.  Categories that VOC does not know begin with what
    they had.  ``voc``: for each category the VOC class that shows it, or -1.  ``decoded``:
    channels of C3N's decoder.
    """

    def __init__(self, categories: int, decoded: int, voc: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = DeepLabV3()
        self.mix = nn.Conv2d(VOC_CLASSES, categories, 1)
        self.share = nn.Parameter(torch.ones(categories))
        self.fine = nn.Conv2d(FINE_WIDTH, NARROW, 1)
        self.deep = nn.Conv2d(WIDTH, NARROW * 2, 1)
        self.join = nn.Conv2d(NARROW * 3 + decoded, MIXED, 1)
        self.spread = nn.Conv2d(MIXED, MIXED, 3, padding=1, groups=MIXED)
        self.refine = nn.Conv2d(MIXED, categories, 1)
        with torch.no_grad():
            for layer in (self.mix, self.refine):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            for category, known in enumerate(voc):
                if known > 0:
                    self.mix.weight[category, [known, 0], 0, 0] = torch.tensor([0.5, -0.5])
                    self.share[category] = 0.5

    def forward(self, frames: Tensor, decoded: Tensor, maps: Tensor) -> Tensor:
        """Pixels in -1..1 ``[B, 3, S, S]``, decoder ``[B, C, h, w]``, maps ``[B, K, h, w]``.

        Returns the categories' maps ``[B, K, S/4, S/4]`` against a background of 0.
        """
        return self.combine(self.network(frames), decoded, maps)

    def combine(self, seen: VocOutput, decoded: Tensor, maps: Tensor) -> Tensor:
        """What the segmentation network sees, with the other maps, as :meth:`forward` returns."""
        size = seen.fine.shape[2:]
        deep = _corners(self.deep(seen.hidden), size)
        joined = torch.cat([self.fine(seen.fine), deep, _centres(decoded, size)], dim=1)
        residual = torch.relu(self.spread(torch.relu(self.join(joined))))
        whole = _corners(self.mix(seen.classes), size) + self.refine(residual)
        whole = whole + self.share[:, None, None] * _centres(maps, size)
        # Positions are every fourth pixel, corner to corner; what is asked for lies between.
        return functional.avg_pool2d(whole, 2, stride=1)


def _corners(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _centres(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
