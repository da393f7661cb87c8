"""The one protocol of every audio network: one second of sound in, feature and classes out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avs_ros.errors import AudioFormatError
from avs_ros.models.weight_file import WeightFile, load_state_dict_strictly
from avs_ros.sound import SAMPLE_RATE

CLASS_COUNT = 527


class AudioNetwork(nn.Module):
    """Base of the audio networks.

    ``network(waveform)`` takes float32 [B, N] at 16 kHz, about -1..1 (N = 16000 for one second),
    and returns ``(feature [B, feature_width], logits [B, 527])``; the logits are raw scores in
    AudioSet order (``avs_ros.models.labels.audioset()``), a probability is their sigmoid.

    The three stages may be called on their own, for fine-tuning or export:
    ``front_end`` (waveform -> spectrogram), ``encode`` (spectrogram -> feature) and
    ``classify`` (feature -> logits).  All of them are differentiable where the published
    network is.
    """

    feature_width: int
    sample_rate: int = SAMPLE_RATE
    minimum_samples: int = SAMPLE_RATE
    # Names in the public file that are computed here and not loaded.
    fixed_tables: tuple[str, ...] = ()
    log_mel: Any

    def front_end(self, waveform: Tensor) -> Tensor:
        """Spectrogram of ``waveform`` [B, N], in the layout that ``encode`` expects."""
        return self.log_mel(waveform)

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Feature [B, feature_width] of a spectrogram made by ``front_end``."""
        raise NotImplementedError

    def classify(self, feature: Tensor) -> Tensor:
        """Raw class scores [B, 527] in AudioSet order from a feature [B, feature_width]."""
        raise NotImplementedError

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Return (feature [B, feature_width], logits [B, 527]) of ``waveform`` [B, N].

        Raises AudioFormatError: another shape or sample type, too short, NaN or infinite.
        """
        self.check(waveform)
        return self.hear(waveform)

    def hear(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, unchecked: the three stages in turn."""
        feature = self.encode(self.front_end(waveform))
        return feature, self.classify(feature)

    def hear_clip(self, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """(feature [T, D], logits [T, 527]) of a clip's consecutive ``seconds`` [T, 16000].

        The clip is cut as the published code cuts it for AVSBench; for most networks each second
        stands alone, and this is the same as calling the network.
        """
        return self(seconds)

    def load_weight_file(self, file: WeightFile) -> None:
        """Load the network's public file, or one of ours; CheckpointError names what differs."""
        load_state_dict_strictly(self, file.state_dict(), file.source, ignore=self.fixed_tables)

    def describe(self) -> dict[str, Any]:
        """What a weight file of this network must say beside its tensors (plain values)."""
        return {}

    def check(self, waveform: Tensor) -> None:
        """Raise AudioFormatError unless ``waveform`` can be heard by this network."""
        name = type(self).__name__
        if waveform.ndim != 2:
            raise AudioFormatError(
                f"{name} expects a mono waveform [batch, samples], got shape "
                f"{list(waveform.shape)}: average the channels and add a batch axis"
            )
        if waveform.dtype != torch.float32:
            advice = "use .float()" if waveform.is_floating_point() else "divide int16 by 32768"
            raise AudioFormatError(
                f"{name} expects float32 samples in -1..1, got {waveform.dtype}: {advice}"
            )
        if waveform.shape[1] < self.minimum_samples:
            raise AudioFormatError(
                f"{name} needs at least {self.minimum_samples} samples at {self.sample_rate} Hz, "
                f"got {waveform.shape[1]}: pad the window with zeros"
            )
        # A graph that is being traced has no values to look at.
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return
        if not bool(torch.isfinite(waveform).all()):
            raise AudioFormatError(f"{name} got NaN or infinite samples: replace them by zeros")
