"""EfficientAT ``mn04_as``: a MobileNetV3 on log-mel, 0.98 M parameters, AudioSet mAP 0.432.

F. Schmid, K. Koutini, G. Widmer, "Efficient large-scale audio tagging via transformer-to-CNN
knowledge distillation", ICASSP 2023.  Tensor names are those of the authors' public checkpoints
(github.com/fschmid56/EfficientAT, MIT), so their files load unchanged.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.compliance import kaldi
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig
from torchvision.ops import Conv2dNormActivation

from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.spectrum import DoubleRate, power_spectrum

NATIVE_RATE = 32000
MEL_BANDS = 128
_FFT = 1024
_WINDOW = 800
_HOP = 320


# MobileNetV3-Large at width 0.4: (channels in, kernel, expanded, channels out, squeeze-and-
# excitation, activation, stride).
_BLOCKS = (
    (8, 3, 8, 8, False, "RE", 1),
    (8, 3, 24, 16, False, "RE", 2),
    (16, 3, 32, 16, False, "RE", 1),
    (16, 5, 32, 16, True, "RE", 2),
    (16, 5, 48, 16, True, "RE", 1),
    (16, 5, 48, 16, True, "RE", 1),
    (16, 3, 96, 32, False, "HS", 2),
    (32, 3, 80, 32, False, "HS", 1),
    (32, 3, 72, 32, False, "HS", 1),
    (32, 3, 72, 32, False, "HS", 1),
    (32, 3, 192, 48, True, "HS", 1),
    (48, 3, 272, 48, True, "HS", 1),
    (48, 5, 272, 64, True, "HS", 2),
    (64, 5, 384, 64, True, "HS", 1),
    (64, 5, 384, 64, True, "HS", 1),
)
_NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
_LAST = 384
_HIDDEN = 512


class EfficientATLogMel(nn.Module):
    """Batched log-mel of EfficientAT: waveform [B, N] at 32 kHz -> [B, 128, T], T = N // 320.

    Pre-emphasis, 25 ms Hann window, 10 ms hop, power spectrum, 128 Kaldi mel bands up to 15 kHz,
    ``(log(mel + 1e-5) + 4.5) / 5``.  At 16 kHz the sound is upsampled first.
    """

    window: Tensor
    mel_banks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.upsample = DoubleRate()
        banks, _ = kaldi.get_mel_banks(
            MEL_BANDS, _FFT, float(NATIVE_RATE), 0.0, 15000.0, 100.0, -500.0, 1.0
        )
        # Fixed tables are computed, never part of a checkpoint. Kaldi leaves out the last bin.
        self.register_buffer("window", torch.hann_window(_WINDOW, periodic=False), False)
        self.register_buffer("mel_banks", F.pad(banks, (0, 1)), False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel [B, 128, T] of ``waveform`` [B, N] at 16 kHz, float32."""
        return self.native(self.upsample(waveform))

    def native(self, waveform: Tensor) -> Tensor:
        """The same of ``waveform`` [B, N] at 32 kHz, the authors' rate."""
        emphasised = waveform[:, 1:] - 0.97 * waveform[:, :-1]
        power = power_spectrum(emphasised, self.window, _FFT, _HOP).transpose(1, 2)
        return ((self.mel_banks @ power + 1e-5).log() + 4.5) / 5.0


class SqueezeExcitation(nn.Module):
    """Channels of [B, C, F, T] times a gate 0..1, from their means over frequency and time."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        layers = {"fc1": nn.Linear(channels, squeeze), "fc2": nn.Linear(squeeze, channels)}
        # The authors can gate several axes side by side; the published networks gate channels.
        self.conc_se_layers = nn.ModuleList([nn.ModuleDict(layers)])

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``maps`` [B, C, F, T], each channel scaled."""
        layers: Any = self.conc_se_layers[0]
        gate = torch.sigmoid(layers["fc2"](F.relu(layers["fc1"](maps.mean(dim=(2, 3))))))
        return maps * gate[:, :, None, None]


class EfficientAT(AudioNetwork):
    """EfficientAT mn04 behind the common protocol.

    ``feature`` [B, 384] is the mean of the last feature map, before the classifier's hidden
    layer.
    """

    feature_width = _LAST

    # Reflection padding of the STFT needs more than half an FFT, at 32 kHz.
    minimum_samples = _FFT // 4 + 2

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = EfficientATLogMel()
        blocks = (
            InvertedResidual(
                InvertedResidualConfig(*row, dilation=1, width_mult=1.0), _NORM, SqueezeExcitation
            )
            for row in _BLOCKS
        )
        ends = {"norm_layer": _NORM, "activation_layer": nn.Hardswish}
        self.features = nn.Sequential(
            Conv2dNormActivation(1, _BLOCKS[0][0], 3, 2, **ends),
            *blocks,
            Conv2dNormActivation(_BLOCKS[-1][3], _LAST, 1, **ends),
        )
        self.classifier = nn.Sequential(
            # In the public files pooling and flattening are layers 0 and 1.
            nn.Identity(),
            nn.Identity(),
            nn.Linear(_LAST, _HIDDEN),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(_HIDDEN, CLASS_COUNT),
        )

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Feature [B, 384] of a log-mel [B, 128, T]."""
        return self.features(spectrogram[:, None]).mean(dim=(2, 3))

    def classify(self, feature: Tensor) -> Tensor:
        """Class scores [B, 527] of a feature [B, 384]."""
        return self.classifier(feature)
