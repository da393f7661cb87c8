"""Own object detector with masks: YOLOX-nano's layout, and a mask head of each anchor's own.

Z. Ge et al., *YOLOX: Exceeding YOLO Series in 2021*; masks: ``models.light.mask_head``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.models.light.mask_head import FILTERS, start_filters
from avs_ros.models.light.mask_head import WIDTH as MASK_WIDTH

STRIDES = (8, 16, 32)
WIDTH = 64


class Detections(NamedTuple):
    """One anchor point for each cell of the strides 8, 16, 32: N in all.

    ``boxes`` ``[B, N, 4]``: x0, y0, x1, y1 in pixels of the input.  ``objectness`` ``[B, N]`` and
    ``classes`` ``[B, N, K]``: logits.  ``filters`` ``[B, N, F]`` and ``features``
    ``[B, C, S/8, S/8]``: what :mod:`avs_ros.models.light.mask_head` makes a mask of.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor
    filters: Tensor
    features: Tensor


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups), nn.SiLU()
    )


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(_conv(inputs, inputs, 3, stride, inputs), _conv(inputs, outputs))


class Bottleneck(nn.Module):
    """1x1, then depthwise and pointwise; added to its input where ``shortcut``."""

    def __init__(self, width: int, shortcut: bool) -> None:
        super().__init__()
        self.narrow, self.wide = _conv(width, width), _separable(width, width)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` both ways."""
        y: Tensor = self.wide(self.narrow(x))
        return y + x if self.shortcut else y


class CrossStage(nn.Module):
    """CSP layer: half of the channels pass through ``count`` bottlenecks."""

    def __init__(self, inputs: int, outputs: int, count: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.main, self.side = _conv(inputs, half), _conv(inputs, half)
        self.blocks = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(count)))
        self.join = _conv(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, h, w]`` -> ``[B, outputs, h, w]``."""
        main, side = self.main(x), self.side(x)
        return self.join(torch.cat([self.blocks(main), side], dim=1))


class Pooling(nn.Module):
    """Spatial pyramid pooling: maxima over 5, 9 and 13 cells beside the cells themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow, self.wide = _conv(width, width // 2), _conv(width * 2, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` both ways."""
        x = self.narrow(x)
        pooled = [functional.max_pool2d(x, k, 1, k // 2) for k in (5, 9, 13)]
        return self.wide(torch.cat([x, *pooled], dim=1))


class Head(nn.Module):
    """Classes, boxes, objectness and mask filters of one stride."""

    def __init__(self, inputs: int, categories: int) -> None:
        super().__init__()
        self.stem = _conv(inputs, WIDTH)
        self.class_tower = nn.Sequential(_separable(WIDTH, WIDTH), _separable(WIDTH, WIDTH))
        self.classes = nn.Conv2d(WIDTH, categories, 1)
        self.box_tower = nn.Sequential(_separable(WIDTH, WIDTH), _separable(WIDTH, WIDTH))
        self.boxes = nn.Conv2d(WIDTH, 4, 1)
        self.objectness = nn.Conv2d(WIDTH, 1, 1)
        self.filters = nn.Conv2d(WIDTH, FILTERS, 1)
        start_filters(self.filters)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features -> classes, boxes, objectness, filters, ``[B, C, h, w]`` each."""
        x = self.stem(x)
        kinds = self.classes(self.class_tower(x))
        x = self.box_tower(x)
        return kinds, self.boxes(x), self.objectness(x), self.filters(x)


class Detector(nn.Module):
    """RGB pixels in -1..1 ``[B, 3, S, S]``, S a multiple of 32 -> :class:`Detections`."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.stem = _conv(12, 16, 3)
        self.dark2 = nn.Sequential(_separable(16, 32, 2), CrossStage(32, 32))
        self.dark3 = nn.Sequential(_separable(32, 64, 2), CrossStage(64, 64, 3))
        self.dark4 = nn.Sequential(_separable(64, 128, 2), CrossStage(128, 128, 3))
        self.dark5 = nn.Sequential(
            _separable(128, 256, 2), Pooling(256), CrossStage(256, 256, 1, False)
        )
        self.lateral = _conv(256, 128)
        self.middle_down = CrossStage(256, 128, 1, False)
        self.reduce = _conv(128, 64)
        self.fine = CrossStage(128, 64, 1, False)
        self.fine_up = _separable(64, 64, 2)
        self.middle = CrossStage(128, 128, 1, False)
        self.middle_up = _separable(128, 128, 2)
        self.coarse = CrossStage(256, 256, 1, False)
        self.heads = nn.ModuleList(Head(width, rows) for width in (64, 128, 256))
        self.mask_branch = nn.Sequential(
            _conv(64, 64, 3), _separable(64, 64), nn.Conv2d(64, MASK_WIDTH, 1)
        )

    def pyramid(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at strides 8, 16 and 32."""
        # The published network takes 0..255, blue first.
        third = self.dark3(self.dark2(self.focus((frames + 1.0) * 127.5)))
        fourth = self.dark4(third)
        lateral = self.lateral(self.dark5(fourth))
        up = functional.interpolate(lateral, scale_factor=2.0, mode="nearest")
        reduced = self.reduce(self.middle_down(torch.cat([up, fourth], dim=1)))
        up = functional.interpolate(reduced, scale_factor=2.0, mode="nearest")
        fine = self.fine(torch.cat([up, third], dim=1))
        middle = self.middle(torch.cat([self.fine_up(fine), reduced], dim=1))
        return fine, middle, self.coarse(torch.cat([self.middle_up(middle), lateral], dim=1))

    def focus(self, x: Tensor) -> Tensor:
        """The published stem: 3x3 on the four pixels of each 2x2 block, stacked, blue first.

        RGB ``[B, 3, S, S]`` -> ``[B, 16, S/2, S/2]``.  In a graph it is one 6x6 convolution of
        stride 2: engines are slow at cutting and stacking.
        """
        if not torch.jit.is_tracing():
            blocks = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
            return self.stem(torch.cat([one.flip(1) for one in blocks], dim=1))
        convolution: Any = self.stem[0]
        # Stacked: column, then row of the block, then channel.
        parts = convolution.weight.unflatten(1, (2, 2, 3)).flip(3)
        whole = parts.permute(0, 3, 4, 2, 5, 1).flatten(4, 5).flatten(2, 3)
        maps = functional.conv2d(x, whole, convolution.bias, stride=2, padding=2)
        return self.stem[1](maps)

    def forward(self, frames: Tensor) -> Detections:
        """See the class."""
        features = self.pyramid(frames)
        found = []
        for head, x, stride in zip(self.heads, features, STRIDES, strict=True):
            kinds, boxes, *others = head(x)
            maps = (kinds, self._decode(boxes, stride), *others)
            found.append([one.flatten(2).transpose(1, 2) for one in maps])
        kinds, boxes, objectness, filters = (torch.cat(kind, dim=1) for kind in zip(*found))
        return Detections(boxes, objectness[..., 0], kinds, filters, self.mask_branch(features[0]))

    @staticmethod
    def _decode(maps: Tensor, stride: int) -> Tensor:
        """Offsets and log sizes ``[B, 4, h, w]`` -> corners in pixels."""
        h, w = maps.shape[2:]
        y, x = torch.meshgrid(
            torch.arange(h, device=maps.device), torch.arange(w, device=maps.device), indexing="ij"
        )
        centre = (maps[:, :2] + torch.stack([x, y]).to(maps.dtype)) * stride
        half = maps[:, 2:].clamp(max=8.0).exp() * (stride / 2)
        return torch.cat([centre - half, centre + half], dim=1)
