"""Segmenter of potential sounding objects: N queries, each a class distribution and a mask.

MaskFormer's form (Cheng et al., NeurIPS 2021): whatever could sound is found from the image
alone, K categories and "no object"; the sound has no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avs_ros.models.avsc.outputs import SegmenterOutput
from avs_ros.models.avsc.pixel_decoder import PixelDecoder
from avs_ros.models.avsc.transformer_decoder import (
    DecoderLayer,
    attention_bias,
    position_encoding,
)


class SegmenterHead(nn.Module):
    """Stages of a backbone -> :class:`SegmenterOutput`.

    ``widths``: channels of the stages.  ``categories``: K.  ``queries``: N.
    ``memory_levels``: how many levels of the pyramid, coarsest first, the queries look at.
    """

    def __init__(
        self,
        widths: Sequence[int],
        categories: int,
        queries: int,
        *,
        channels: int,
        layers: int,
        heads: int,
        feedforward: int,
        memory_levels: int,
        separable: bool,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.memory_levels = memory_levels
        self.pixels = PixelDecoder(widths, channels, separable)
        self.queries = nn.Embedding(queries, channels)
        self.places = nn.Embedding(queries, channels)
        nn.init.normal_(self.queries.weight, std=0.3)
        nn.init.normal_(self.places.weight, std=0.3)
        self.level = nn.Embedding(memory_levels, channels)
        # Cells say where they are: without it, two alike things would always share a mask.
        self.cell_places = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.cell_places.weight)
        self.layers = nn.ModuleList(
            DecoderLayer(channels, heads, feedforward) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.classes = nn.Linear(channels, categories + 1)
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
