"""C3N: the whole network, top to bottom as in the paper's figure 2.

Z. Shi, Q. Wu, F. Meng, L. Xu, H. Li: Cross-modal Cognitive Consensus guided Audio-Visual
Segmentation, IEEE Transactions on Multimedia, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avs_ros.errors import AudioFormatError, ModelError
from avs_ros.models.c3n.backbone import build_backbone
from avs_ros.models.c3n.c3im import AUDIO_CLASSES, CognitiveConsensusInference, Matrix
from avs_ros.models.c3n.ccam import class_activated_weights, cognitive_consensus_attention
from avs_ros.models.c3n.decoder import Decoder
from avs_ros.models.c3n.fusion import (
    AtrousSpatialPyramidPooling,
    TemporalPixelwiseAudioVisualInteraction,
)
from avs_ros.models.c3n.official import official_names
from avs_ros.models.weight_file import load_state_dict_strictly

DECODERS = ("paper", "light")
Stages = tuple[Tensor, ...]


@dataclass(frozen=True)
class C3NOutput:
    """Every intermediate result; N frames, tuples hold stage 1 (stride 4) first.

    ``logits`` ``[N, 1, H, W]`` (light decoder: ``[N, 1, H/4, W/4]``).  ``labels`` int64 ``[N]``,
    rows of the similarity.  ``visual_logits`` ``[N, K]``.  ``weights``: class-activated,
    ``[N, C_i]``.  ``features``: normed backbone stages ``[N, C_i, h_i, w_i]``.  ``gated``: after
    CCAM.  ``pyramid``: after ASPP ``[N, C, h_i, w_i]``.  ``fused``: after TPAVI.  ``paths``:
    decoder blocks, upsampled.
    """

    logits: Tensor
    labels: Tensor
    visual_logits: Tensor
    weights: Stages
    features: Stages
    gated: Stages
    pyramid: Stages
    fused: Stages
    paths: Stages


class C3N(nn.Module):
    """Frames, their seconds of sound, and what both are taken for -> masks of the sounding object.

    ``visual``: a name in ``backbone.BACKBONES``.  ``audio_width`` A: 128 VGGish, 2048 PANNs,
    768 BEATs, or another audio net's.  ``similarity``: ``[K, 527]`` label similarity; K is the
    number of classes of the backbone's head.  ``channels``: width after ASPP.  ``decoder``:
    "paper" or "light" (see ``decoder.py``).  ``image_size``: side of the square frames.
    Raises ModelError for what cannot be built.
    """

    def __init__(
        self,
        visual: str = "pvt_v2_b5",
        audio_width: int = 2048,
        similarity: Matrix | None = None,
        *,
        channels: int = 256,
        decoder: str = "paper",
        image_size: int = 224,
        alpha: float = 0.1,
    ) -> None:
        super().__init__()
        if similarity is None:
            raise ModelError("C3N needs a label similarity matrix [visual classes, 527]")
        if decoder not in DECODERS:
            raise ModelError(f"unknown decoder {decoder!r}; known: {', '.join(DECODERS)}")
        if channels < 2 or channels % 2 or audio_width < 1:
            raise ModelError(f"impossible widths: channels {channels}, audio {audio_width}")
        self.visual = visual
        self.audio_width = audio_width
        self.channels = channels
        self.decoder_form = decoder
        self.image_size = image_size
        self.c3im = CognitiveConsensusInference(similarity, alpha)
        self.backbone = build_backbone(visual, self.c3im.num_classes, image_size)
        widths = self.backbone.widths
        self.aspp = nn.ModuleList(AtrousSpatialPyramidPooling(w, channels) for w in widths)
        self.tpavi = nn.ModuleList(
            TemporalPixelwiseAudioVisualInteraction(channels, audio_width) for _ in widths
        )
        self.decoder = Decoder(channels, light=decoder == "light")

    def forward(
        self,
        frames: Tensor,
        audio_features: Tensor,
        audio_logits: Tensor,
        frames_per_clip: int = 5,
    ) -> Tensor:
        """Mask logits ``[N, 1, H, W]`` for N frames of N / ``frames_per_clip`` clips.

        ``frames``: float ``[N, 3, S, S]``, normalised with the backbone's pixel statistics,
        frames of a clip one after another.  ``audio_features``: ``[N, A]`` and
        ``audio_logits``: ``[N, 527]`` (before any softmax), of the second of sound of each
        frame.  Threshold sigmoid(logits) at 0.5 for masks.  Raises ModelError for other
        shapes, AudioFormatError for NaN or infinite audio values.
        """
        return self.forward_detailed(frames, audio_features, audio_logits, frames_per_clip).logits

    def forward_detailed(
        self,
        frames: Tensor,
        audio_features: Tensor,
        audio_logits: Tensor,
        frames_per_clip: int = 5,
    ) -> C3NOutput:
        """The same with every intermediate result."""
        if torch.is_inference_mode_enabled():
            # Gradients are part of this forward pass; inference tensors cannot carry them.
            with torch.inference_mode(False), torch.no_grad():
                return self.forward_detailed(
                    frames.clone(), audio_features.clone(), audio_logits.clone(), frames_per_clip
                )
        self._check(frames, audio_features, audio_logits, frames_per_clip)
        training = torch.is_grad_enabled()
        taps = self.backbone(frames)
        labels = self.c3im(taps.logits, audio_logits)
        weights = class_activated_weights(taps, labels, keep_graph=training)
        features = taps.features if training else tuple(x.detach() for x in taps.features)
        gated, pyramid, fused = self.fuse(features, weights, audio_features, frames_per_clip)
        logits, paths = self.decoder(fused)
        return C3NOutput(
            logits, labels, taps.logits, weights, features, gated, pyramid, fused, paths
        )

    def fuse(
        self, features: Stages, weights: Stages, audio: Tensor, frames_per_clip: int
    ) -> tuple[Stages, Stages, Stages]:
        """Stages and their class-activated weights -> after CCAM, after ASPP, after TPAVI."""
        gated = tuple(map(cognitive_consensus_attention, features, weights))
        pyramid = tuple(aspp(x) for aspp, x in zip(self.aspp, gated, strict=True))
        pairs = zip(self.tpavi, pyramid, strict=True)
        return gated, pyramid, tuple(tpavi(x, audio, frames_per_clip) for tpavi, x in pairs)

    def config(self) -> dict[str, str | int | float]:
        """Arguments that build the same network again, the similarity excepted."""
        return {
            "visual": self.visual,
            "audio_width": self.audio_width,
            "channels": self.channels,
            "decoder": self.decoder_form,
            "image_size": self.image_size,
            "alpha": self.c3im.alpha,
        }

    def load_official_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the published code's state dict (bare, with or without ``module.``).

        Raises CheckpointError that names a missing, left-over or mismatching tensor with its
        expected and found shape.
        """
        tensors = official_names(state_dict, self.visual)
        load_state_dict_strictly(self, tensors, "the published C3N state dict")

    def _check(self, frames: Tensor, features: Tensor, logits: Tensor, clip: int) -> None:
        n, size = frames.shape[0], self.image_size
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (3, size, size):
            raise ModelError(f"frames must be [N, 3, {size}, {size}], got {list(frames.shape)}")
        if clip < 1 or n < 1 or n % clip:
            raise ModelError(f"got {n} frames where clips of {clip} are needed")
        for name, tensor, width in (
            ("audio_features", features, self.audio_width),
            ("audio_logits", logits, AUDIO_CLASSES),
        ):
            if tuple(tensor.shape) != (n, width):
                raise ModelError(f"{name} must be [{n}, {width}], got {list(tensor.shape)}")
            if not bool(torch.isfinite(tensor).all()):
                raise AudioFormatError(f"{name} holds NaN or infinite values")
