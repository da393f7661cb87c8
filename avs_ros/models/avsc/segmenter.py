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
    shrink,
)

# How far class evidence is scaled down where it is a feature among others.
EVIDENCE_SCALE = 0.25
# Evidence of a category that is as likely as most: its log-probability there.
USUAL = -3.0
FAINT = 1e-4


class SegmenterHead(nn.Module):
    """Stages of a backbone -> :class:`SegmenterOutput`.

    ``widths``: channels of the stages.  ``categories``: K.  ``query_category``: for each query the
    category whose evidence it starts from, -1 for none (all of them without class evidence).
    ``evidence``: whether maps of it ``[B, K, h, w]`` come behind the stages.  ``memory_levels``:
    how many levels of the pyramid, coarsest first, the queries look at.
    """

    query_category: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        categories: int,
        query_category: Sequence[int],
        *,
        channels: int,
        layers: int,
        heads: int,
        feedforward: int,
        memory_levels: int,
        separable: bool,
        evidence: bool,
    ) -> None:
        super().__init__()
        self.channels, self.evidence = channels, evidence
        self.memory_levels = memory_levels
        last = widths[-1] + (categories if evidence else 0)
        self.pixels = PixelDecoder((*widths[:-1], last), channels, separable)
        count = len(query_category)
        self.queries = nn.Embedding(count, channels)
        self.places = nn.Embedding(count, channels)
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
        self.register_buffer(
            "query_category", torch.tensor(list(query_category)), persistent=False
        )
        if evidence:
            self.seed = nn.Linear(channels, channels)
            self.peak = nn.Linear(2, channels)
            self.evidence_gain = nn.Parameter(torch.full((categories,), 0.5))

    def forward(self, stages: Sequence[Tensor]) -> SegmenterOutput:
        """``stages``: stride 4 first, with evidence a fifth one ``[B, K, S/32, S/32]``."""
        stages = list(stages)
        evidence = stages.pop() if self.evidence else None
        if evidence is not None:
            stages[-1] = torch.cat([stages[-1], evidence * EVIDENCE_SCALE], dim=1)
        pyramid, cells = self.pixels(stages)
        cells = cells + self._cell_places(cells)
        levels = pyramid[: self.memory_levels]
        memory = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
        where = self._where(levels)
        sizes = [(int(level.shape[2]), int(level.shape[3])) for level in levels]
        queries = self._start(levels[0], evidence)
        place = self.places.weight[None]
        answers = [self._answer(queries, cells, evidence)]
        for layer in self.layers:
            bias = attention_bias(answers[-1][1].detach(), sizes)
            queries = layer(queries, place, memory, where, bias)
            answers.append(self._answer(queries, cells, evidence))
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

    def _start(self, coarsest: Tensor, evidence: Tensor | None) -> Tensor:
        """Queries before they look: learned, and what is found where their category is likely."""
        learned = self.queries.weight[None].expand(coarsest.shape[0], -1, -1)
        if evidence is None:
            return learned
        flat = evidence.flatten(2)
        found = flat.softmax(dim=2) @ coarsest.flatten(2).transpose(1, 2)
        strength = torch.stack([flat.amax(dim=2), flat.mean(dim=2)], dim=2) * EVIDENCE_SCALE
        seeds = self.seed(found) + self.peak(strength)
        own = seeds[:, self.query_category.clamp(min=0)]
        return learned + own * (self.query_category >= 0).to(own.dtype)[None, :, None]

    def _answer(
        self, queries: Tensor, cells: Tensor, evidence: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Class logits and mask logits of the queries as they are."""
        queries = self.norm(queries)
        scale = 2.0 / math.sqrt(self.channels)
        h, w = cells.shape[2:]
        masks = self.mask(queries) @ cells.flatten(2) * scale + self.mask_bias
        masks = masks.unflatten(2, (h, w))
        classes = self.classes(queries)
        if evidence is not None:
            classes = torch.cat([classes[..., :-1] + self._pooled(masks, evidence),
                                 classes[..., -1:]], dim=2)  # fmt: skip
        return classes, masks

    def _pooled(self, masks: Tensor, evidence: Tensor) -> Tensor:
        """Each category's evidence under each mask, ``[B, N, K]``; masks get no gradient."""
        size = (int(evidence.shape[2]), int(evidence.shape[3]))
        share = shrink(masks.detach().sigmoid(), size).flatten(2) + FAINT
        share = share / share.sum(dim=2, keepdim=True)
        mean = (share @ evidence.exp().flatten(2).transpose(1, 2)).clamp(min=FAINT).log()
        return self.evidence_gain * (mean - USUAL)
