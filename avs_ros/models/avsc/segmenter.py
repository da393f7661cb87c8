"""Segmenter of potential sounding objects: N queries, each a class distribution and a mask.

MaskFormer's form (Cheng et al., NeurIPS 2021): whatever could sound is found from the image
alone, K categories and "no object"; the sound has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avs_ros.models.avsc.config import AVSCConfig
from avs_ros.models.avsc.pixel_decoder import PixelDecoder
from avs_ros.models.avsc.transformer_decoder import (
    DecoderLayer,
    attention_bias,
    position_encoding,
)


class SegmenterOutput(NamedTuple):
    """N queries per image, each a thing that may sound (or nothing).

    ``class_logits``: ``[B, N, K + 1]`` before a softmax; the last column is "no object".
    ``mask_logits``: ``[B, N, S/4, S/4]`` before a sigmoid.  ``auxiliary``: the same pair from
    every earlier layer, first one first, for deep supervision.
    """

    class_logits: Tensor
    mask_logits: Tensor
    auxiliary: tuple[tuple[Tensor, Tensor], ...] = ()


class SegmenterHead(nn.Module):
    """Stages of a backbone, ``widths`` wide -> :class:`SegmenterOutput`."""

    def __init__(self, widths: Sequence[int], config: AVSCConfig) -> None:
        super().__init__()
        self.channels = channels = config.channels
        self.memory_levels = config.memory_levels
        self.pixels = PixelDecoder(widths, channels, config.separable)
        self.queries = nn.Embedding(config.queries, channels)
        self.places = nn.Embedding(config.queries, channels)
        nn.init.normal_(self.queries.weight, std=0.3)
        nn.init.normal_(self.places.weight, std=0.3)
        self.level = nn.Embedding(config.memory_levels, channels)
        # Cells say where they are: without it, two alike things would always share a mask.
        self.cell_places = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.cell_places.weight)
        self.layers = nn.ModuleList(
            DecoderLayer(channels, config.heads, config.feedforward) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.classes = nn.Linear(channels, len(config.categories) + 1)
        self.mask = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.mask_bias = nn.Parameter(torch.tensor(-1.0))

    def forward(self, stages: Sequence[Tensor]) -> SegmenterOutput:
        """``stages``: four of them, stride 4 first."""
        pyramid, cells = self.pixels(stages)
        cells = cells + self._cell_places(cells)
        levels = pyramid[: self.memory_levels]
        memory = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        where = self._where(levels)
        sizes = [(int(level.shape[2]), int(level.shape[3])) for level in levels]
        queries = self.queries.weight[None].expand(cells.shape[0], -1, -1)
        place = self.places.weight[None]
        answers = [self._answer(queries, cells)]
        for layer in self.layers:
            bias = attention_bias(answers[-1][1].detach(), sizes)
            queries = layer(queries, place, memory, where, bias)
            answers.append(self._answer(queries, cells))
        return SegmenterOutput(*answers[-1], tuple(answers[:-1]))

    def _where(self, levels: Sequence[Tensor]) -> Tensor:
        parts = [
            self._waves(level) + self.level.weight[index] for index, level in enumerate(levels)
        ]
        return torch.cat(parts, dim=0)

    def _waves(self, level: Tensor) -> Tensor:
        """Position encoding of a level's cells, ``[h w, C]``."""
        height, width = int(level.shape[2]), int(level.shape[3])
        return position_encoding(height, width, self.channels, level.device).to(level.dtype)

    def _cell_places(self, cells: Tensor) -> Tensor:
        """What a cell's place adds to its embedding, ``[1, C, h, w]``."""
        places: Tensor = self.cell_places(self._waves(cells))
        return places.T.unflatten(1, (int(cells.shape[2]), int(cells.shape[3])))[None]

    def _answer(self, queries: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits and mask logits of the queries as they are."""
        queries = self.norm(queries)
        scale = 2.0 / math.sqrt(self.channels)
        h, w = cells.shape[2:]
        masks = self.mask(queries) @ cells.flatten(2) * scale + self.mask_bias
        return self.classes(queries), masks.unflatten(2, (h, w))
