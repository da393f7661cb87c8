"""AVSC: a segmenter of potential sounding objects, an audio network, and what joins them.

Y. Liu et al., "Audio-Visual Segmentation by Exploring Cross-Modal Mutual Semantics", ACM MM 2023.
No code of the authors is public; where the paper is silent the parts say what was chosen.  Image
and sound meet only in a vector of K scores, so each half may run at its own rate.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from avs_ros.models import audio as audio_networks
from avs_ros.models.avsc import association
from avs_ros.models.avsc.association import AudioHead
from avs_ros.models.avsc.backbone import build_stages, load_public, stage_features
from avs_ros.models.avsc.categories import initial_affinity
from avs_ros.models.avsc.config import AVSCConfig
from avs_ros.models.avsc.outputs import AVSCOutput, SegmenterOutput
from avs_ros.models.avsc.segmenter import SegmenterHead
from avs_ros.models.light.folding import fold_batch_norm

Features = tuple[Tensor, ...]


class AVSC(nn.Module):
    """Frames -> potential sounding objects; sound -> scores of their categories; both -> mask.

    ``config``: see :class:`AVSCConfig`.  Weights are random, the audio head excepted, which starts
    from the category map.  Parts: ``backbone`` (C3N's, without a head), ``audio_encoder`` (an
    ``AudioNetwork``: window ``[B, 16000]`` -> feature ``[B, D]`` and AudioSet logits
    ``[B, 527]``), ``segmenter``, ``audio_head``.
    """

    def __init__(self, config: AVSCConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_stages(config.visual, config.image_size, folded=config.folded)
        self.audio_encoder = audio_networks.build(config.audio)
        if config.folded:
            fold_batch_norm(self.audio_encoder)
        self.segmenter = SegmenterHead(
            self.backbone.widths,
            len(config.categories),
            config.queries,
            channels=config.channels,
            layers=config.layers,
            heads=config.heads,
            feedforward=config.feedforward,
            memory_levels=config.memory_levels,
            separable=config.separable,
        )
        self.audio_head = AudioHead(
            config.sound_class_category,
            len(config.categories),
            self.audio_encoder.feature_width,
            initial_affinity(config.sound_classes),
        )

    def features(self, frames: Tensor) -> Features:
        """What the backbone sees in normalised frames ``[B, 3, S, S]``: four stages
        ``[B, C_i, S/4 .. S/32, ...]``.
        """
        return stage_features(self.backbone, frames)

    def segment_features(self, features: Features) -> SegmenterOutput:
        """The segmenter's answer to what :meth:`features` gave."""
        out: SegmenterOutput = self.segmenter(features)
        return out

    def segment(self, frames: Tensor) -> SegmenterOutput:
        """Normalised frames ``[B, 3, S, S]`` -> potential sounding objects."""
        return self.segment_features(self.features(frames))

    def audio_scores(self, audio_logits: Tensor, feature: Tensor) -> Tensor:
        """AudioSet logits ``[B, 527]`` and feature ``[B, D]`` -> logits ``[B, K]``.

        Their sigmoid is how likely each category sounds: several may, or none.
        """
        scores: Tensor = self.audio_head(audio_logits, feature)
        return scores

    def attend(self, output: SegmenterOutput, scores: Tensor) -> Tensor:
        """Output and scores ``[B, K]`` in 0..1 -> attended mask ``[B, S/4, S/4]`` in 0..1."""
        return association.attend(output, scores)

    def forward(self, frames: Tensor, feature: Tensor, audio_logits: Tensor) -> AVSCOutput:
        """Normalised frames ``[B, 3, S, S]`` and what the audio network said of their sounds."""
        output = self.segment(frames)
        scores = torch.sigmoid(self.audio_scores(audio_logits, feature))
        return AVSCOutput(output, scores, self.attend(output, scores))

    def segmenter_parts(self) -> tuple[nn.Module, ...]:
        """What sees: to be frozen when only the correlation is trained."""
        return (self.backbone, self.segmenter)

    def freeze_segmenter(self, frozen: bool = True) -> None:
        """Keep the segmenter as it is (mode "frozen"), or let it learn again."""
        for part in self.segmenter_parts():
            part.requires_grad_(not frozen)

    def load_visual(self, path: str | Path) -> None:
        """Load the backbone's public ImageNet weights; CheckpointError where they do not fit."""
        config = self.config
        load_public(
            self.backbone, path, config.visual, config.image_size, folded=config.folded
        )

    def load_audio(self, *paths: str | Path) -> None:
        """Load the audio network's public file or files; CheckpointError likewise."""
        fresh = audio_networks.build(self.config.audio, checkpoint=paths)
        if self.config.folded:
            fold_batch_norm(fresh)
        self.audio_encoder.load_state_dict(fresh.state_dict())
