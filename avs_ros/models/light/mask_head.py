"""Masks of instances: each anchor's own small filters, run over features that all of them share.

Z. Tian et al., *Conditional Convolutions for Instance Segmentation* (ECCV 2020), section 3: a
mask head of three 1x1 layers whose weights the anchor predicts, on shared features and relative
places.  Here places are told by the anchor's own box, in half sizes of it from its middle, so that
one head serves things of every size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Channels of the shared features, and of the hidden layers.
WIDTH = 8
# Places further from the box's middle than this many half sizes are taken for as far.
FURTHEST = 2.0
SMALLEST_BOX = 0.01


def filter_layers(width: int = WIDTH) -> list[tuple[int, int]]:
    """(inputs, outputs) of each layer; its weights and then its biases stand in this order."""
    return [(width + 2, width), (width, width), (width, 1)]


FILTERS = sum(inputs * outputs + outputs for inputs, outputs in filter_layers())


def start_filters(layer: nn.Conv2d) -> None:
    """Start a layer that predicts filters, in place: all anchors alike, as He et al. would."""
    parts = [
        torch.cat([torch.randn(i * o) * math.sqrt(2 / i), torch.zeros(o)])
        for i, o in filter_layers()
    ]
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    layer.bias.data.copy_(torch.cat(parts))


def instance_logits(filters: Tensor, features: Tensor, boxes: Tensor) -> Tensor:
    """Mask log-odds ``[n, h, w]`` of ``n`` anchors; ``inference.instance_masks`` in NumPy.

    ``filters`` ``[n, FILTERS]``; ``features`` ``[n, WIDTH, h, w]``; ``boxes`` ``[n, 4]``: x0, y0,
    x1, y1 in shares of what the features show.
    """
    n, width, h, w = features.shape
    x = torch.cat([features, relative_places(boxes, h, w)], dim=1).flatten(2)
    at = 0
    for index, (inputs, outputs) in enumerate(filter_layers(width)):
        end = at + inputs * outputs
        weight = filters[:, at:end].view(n, outputs, inputs)
        at = end + outputs
        x = torch.baddbmm(filters[:, end:at, None], weight, x)
        x = torch.relu(x) if index < 2 else x
    return x.view(n, h, w)


def relative_places(boxes: Tensor, height: int, width: int) -> Tensor:
    """Where each cell lies in each box: ``[n, 2, height, width]``, x then y, -1..1 inside."""
    axes = []
    for low, size in ((0, width), (1, height)):
        cells = (torch.arange(size, device=boxes.device) + 0.5) / size
        middle = (boxes[:, low] + boxes[:, low + 2])[:, None] / 2
        half = (boxes[:, low + 2] - boxes[:, low])[:, None].clamp(min=SMALLEST_BOX) / 2
        axes.append(((cells[None] - middle) / half).clamp(-FURTHEST, FURTHEST))
    n = len(boxes)
    return torch.stack(
        [
            axes[0][:, None, :].expand(n, height, width),
            axes[1][:, :, None].expand(n, height, width),
        ],
        dim=1,
    )
