"""AVSC's two halves one at a time, as pure functions of tensors for any engine."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from avs_ros.models.avsc.network import AVSC


class VisualOutput(NamedTuple):
    """``class_logits`` ``[1, N, K + 1]``; ``mask_logits`` ``[1, N, S/4, S/4]``."""

    class_logits: Tensor
    mask_logits: Tensor


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

    def forward(self, frame: Tensor) -> VisualOutput:
        """Normalised ``[1, 3, S, S]`` -> queries."""
        output = self.network.segment(frame)
        return VisualOutput(output.class_logits, output.mask_logits)


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
        feature = self.audio_encoder.encode(self.audio_encoder.front_end(waveform))
        return self.residual(feature), self.audio_encoder.classify(feature)
