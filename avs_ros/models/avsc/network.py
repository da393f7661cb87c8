"""AVSC: a segmenter of potential sounding objects, an audio network, and what joins them.

Y. Liu et al., "Audio-Visual Segmentation by Exploring Cross-Modal Mutual Semantics", ACM MM 2023.
No code of the authors is public; where the paper is silent the parts say what was chosen.  Image
and sound meet only in a vector of K scores, so each half may run at its own rate.

The scores say how much of each category is heard, the segmenter where such things are; joined,
they must resemble the binary mask of the sounding object.  The gradient reaches the audio head
through the scores, so binary masks alone teach it which sound belongs to what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from avs_ros.errors import CheckpointError, ModelError
from avs_ros.models import audio as audio_networks
from avs_ros.models.avsc.config import AVSCConfig, initial_affinity
from avs_ros.models.avsc.segmenter import SegmenterHead, SegmenterOutput
from avs_ros.models.c3n.backbone import STAGES, Backbone, build_backbone
from avs_ros.models.checkpoints import halved, load_backbone, read_kind, save_checkpoint
from avs_ros.models.labels import audioset
from avs_ros.models.light.folding import fold_batch_norm
from avs_ros.models.light.selection import ClassAudioAffinity
from avs_ros.models.weight_file import load_state_dict_strictly

HIDDEN = 64
# One AudioSet class of probability 0.2 reads as a half.
BIAS = 1.6
_NEARLY_ONE = 1.0 - 1e-5


class AudioHead(nn.Module):
    """What any audio network says, AudioSet logits and feature, -> logits of the K categories.

    ``log_affinity`` ``[V, 527]``: the category map it starts from, learned further.
    ``sound_class_category``: for each of the V sound classes the category that makes it.  What the
    feature says comes on top; it starts at zero.
    """

    def __init__(
        self,
        sound_class_category: Sequence[int],
        categories: int,
        feature_width: int,
        log_affinity: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.affinity = ClassAudioAffinity(sound_class_category, categories)
        if log_affinity is not None:
            self.affinity.log_affinity.data.copy_(log_affinity)
            nn.init.constant_(self.affinity.bias, BIAS)
        self.residual = nn.Sequential(
            nn.Linear(feature_width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, categories)
        )
        last: nn.Linear = self.residual[2]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, audio_logits: Tensor, feature: Tensor) -> Tensor:
        """``[B, 527]``, ``[B, D]`` -> ``[B, K]``; a score is the sigmoid of what comes out."""
        heard = self.affinity.by_category(self.affinity(audio_logits))
        return heard + self.residual(feature)


def attend(output: SegmenterOutput, scores: Tensor) -> Tensor:
    """The attended mask ``[B, h, w]``, 0..1: how likely each cell belongs to something sounding.

    ``scores``: ``[B, K]``, 0..1, of the categories heard.  Query i sounds with probability
    ``sum_k p_i(k) s_k``; a cell is lit if any query's mask that sounds covers it.  With one query
    per category this is ``sum_k s_k m_k`` up to the clipping, which here is smooth.
    """
    probability = output.class_logits.softmax(dim=2)[..., :-1]
    sounding = torch.einsum("bnk,bk->bn", probability, scores)
    lit = sounding[:, :, None, None] * output.mask_logits.sigmoid()
    dark = torch.log1p(-lit.clamp(max=_NEARLY_ONE)).sum(dim=1)
    return 1.0 - dark.exp()


PUBLIC_ROWS = 1000
# What timm's networks have after their last stage.
_HEAD_PARTS = ("conv_head", "bn2", "classifier", "head")
Features = tuple[Tensor, ...]


class AVSCOutput(NamedTuple):
    """Image and sound joined: the segmenter's ``output``, ``scores`` ``[B, K]`` in 0..1 of what
    is heard, and the ``attended`` mask ``[B, S/4, S/4]`` in 0..1.
    """

    output: SegmenterOutput
    scores: Tensor
    attended: Tensor


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
        whole = build_backbone(config.visual, PUBLIC_ROWS, config.image_size)
        self.backbone = _without_head(whole, config)
        self.audio_encoder = audio_networks.build(config.audio)
        if config.folded:
            fold_batch_norm(self.audio_encoder)
        self.segmenter = SegmenterHead(self.backbone.widths, config)
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
        features: list[Tensor] = []
        carry = frames
        for index in range(STAGES):
            activation = self.backbone.stage(index, carry)
            features.append(self.backbone.normed(index, activation))
            carry = features[-1] if self.backbone.chains_normed else activation
        return tuple(features)

    def segment(self, frames: Tensor) -> SegmenterOutput:
        """Normalised frames ``[B, 3, S, S]`` -> potential sounding objects."""
        return self.segmenter(self.features(frames))

    def forward(self, frames: Tensor, feature: Tensor, audio_logits: Tensor) -> AVSCOutput:
        """Normalised frames ``[B, 3, S, S]`` and what the audio network said of their sounds."""
        output = self.segment(frames)
        scores = torch.sigmoid(self.audio_head(audio_logits, feature))
        return AVSCOutput(output, scores, attend(output, scores))

    def freeze_segmenter(self) -> None:
        """Keep what sees as it is: only the correlation is trained."""
        self.backbone.requires_grad_(False)
        self.segmenter.requires_grad_(False)

    def load_visual(self, path: str | Path) -> None:
        """Load the backbone's public ImageNet weights; CheckpointError where they do not fit."""
        config = self.config
        whole = build_backbone(config.visual, PUBLIC_ROWS, config.image_size)
        load_backbone(whole, path)
        state = _without_head(whole, config).state_dict()
        load_state_dict_strictly(self.backbone, state, str(path))

    def load_audio(self, *paths: str | Path) -> None:
        """Load the audio network's public file or files; CheckpointError likewise."""
        fresh = audio_networks.build(self.config.audio, checkpoint=paths)
        if self.config.folded:
            fold_batch_norm(fresh)
        self.audio_encoder.load_state_dict(fresh.state_dict())


def _without_head(backbone: Backbone, config: AVSCConfig) -> Backbone:
    """Its four stages alone; batch norm as ``config`` has it."""
    if config.folded:
        fold_batch_norm(backbone)
    for part in _HEAD_PARTS:
        if hasattr(backbone.net, part):
            setattr(backbone.net, part, nn.Identity())
    return backbone


class VisualStep(nn.Module):
    """The segmenter of potential sounding objects: a frame, and nothing of the sound.

    It stays in float32 where engines take half precision.  A threshold on its mask decides where
    a query looks next; rounded anywhere before, other cells pass it, and logits move by up to a
    quarter of the largest one.
    """

    keep_single = True

    def __init__(self, network: AVSC) -> None:
        super().__init__()
        self.network = network
        self.eval()
        self.requires_grad_(False)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised ``[1, 3, S, S]`` -> ``class_logits`` and ``mask_logits`` of the queries."""
        output = self.network.segment(frame)
        return output.class_logits, output.mask_logits


class AVSCAudioStep(nn.Module):
    """The audio network, and what its feature says of the categories beyond its class scores."""

    def __init__(self, network: AVSC) -> None:
        super().__init__()
        self.audio_encoder = network.audio_encoder
        self.residual = network.audio_head.residual
        self.eval()
        self.requires_grad_(False)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Window ``[1, 16000]`` -> residual ``[1, K]`` and AudioSet logits ``[1, 527]``."""
        feature, logits = self.audio_encoder.hear(waveform)
        return self.residual(feature), logits


KIND = "avsc"


def save_avsc(path: str | Path, net: AVSC, metadata: Mapping[str, Any] | None = None) -> None:
    """Write ``net`` in float16, whole or not at all.

    ``metadata`` is added to what is written anyway (``kind``, ``build``, ``audioset``); known
    keys: ``calibration`` ``{"score": threshold}`` from which an instance's score counts as
    sounding, ``preprocessing``, ``provenance``, ``licence``.
    """
    about = {"kind": KIND, "build": asdict(net.config), "audioset": list(audioset().names)}
    save_checkpoint(path, halved(net.state_dict()), {**about, **(metadata or {})})


def load_avsc(path: str | Path) -> tuple[AVSC, dict[str, Any]]:
    """Read a file written by :func:`save_avsc`: a network in evaluation mode, and the metadata.

    Raises CheckpointError when it is missing, damaged or another kind of file.
    """
    metadata, tensors = read_kind(path, KIND, "an AVSC")
    try:
        network = AVSC(AVSCConfig.of(metadata["build"]))
    except (KeyError, TypeError, ModelError) as error:
        raise CheckpointError(f"{path} lacks what an AVSC file must say: {error}") from error
    load_state_dict_strictly(network, tensors, str(path))
    return network.eval(), metadata
