"""Category maps from a segmentation network: what the class head's cells are too coarse for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.light.deeplab import FINE_WIDTH, VOC_CLASSES, WIDTH, DeepLabV3, VocOutput

NARROW, MIXED = 16, 48


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
        joined = torch.cat(
            [
                self.fine(seen.fine),
                _corners(self.deep(seen.hidden), size),
                _centres(decoded, size),
            ],
            dim=1,
        )
        residual = torch.relu(self.spread(torch.relu(self.join(joined))))
        whole = _corners(self.mix(seen.classes), size) + self.refine(residual)
        whole = whole + self.share[:, None, None] * _centres(maps, size)
        # Positions are every fourth pixel, corner to corner; what is asked for lies between.
        return functional.avg_pool2d(whole, 2, stride=1)


def _corners(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def _centres(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
