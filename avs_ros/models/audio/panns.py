"""PANNs ``Cnn14_16k``: a VGG-like network on log-mel, 2048-d embedding, AudioSet mAP 0.438.

Q. Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern
recognition", IEEE/ACM TASLP 2020.  Tensor names are those of the public checkpoint
``Cnn14_16k_mAP=0.438.pth`` (github.com/qiuqiangkong/audioset_tagging_cnn, code MIT; weights on
Zenodo record 3987831, CC BY 4.0).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.spectrum import power_spectrum
from avs_ros.sound import SAMPLE_RATE

_FFT = 512
_HOP = 160
_MEL_BANDS = 64
_WIDTHS = (64, 128, 256, 512, 1024, 2048)


class PannsLogMel(nn.Module):
    """Log-mel in dB: waveform [B, N] at 16 kHz -> [B, 1, N // 160 + 1, 64].

    32 ms periodic Hann window, 10 ms hop, centred with reflection, power spectrum, 64 Slaney mel
    bands (area-normalised) from 50 to 8000 Hz, floor -100 dB.
    """

    window: Tensor
    mel_bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        bands = melscale_fbanks(
            _FFT // 2 + 1, 50.0, 8000.0, _MEL_BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("window", torch.hann_window(_FFT), False)
        self.register_buffer("mel_bands", bands, False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel [B, 1, T, 64] in dB of ``waveform`` [B, N]."""
        mel = power_spectrum(waveform, self.window, _FFT, _HOP) @ self.mel_bands
        return 10.0 * mel.clamp(min=1e-10).log10()[:, None]


class ConvolutionBlock(nn.Module):
    """Twice (3x3 convolution, batch norm, ReLU), then average pooling."""

    def __init__(self, channels: int, out: int, pooling: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, C, T, F] -> [B, C', T / pooling, F / pooling]."""
        maps = F.relu(self.bn1(self.conv1(maps)))
        maps = F.relu(self.bn2(self.conv2(maps)))
        return F.avg_pool2d(maps, self.pooling)


class Cnn14(AudioNetwork):
    """PANNs Cnn14 at 16 kHz behind the common protocol.

    ``feature`` [B, 2048] is the embedding after its ReLU, the audio feature of C3N.  Shorter
    sound than 0.31 s leaves nothing after five poolings and is refused.
    """

    feature_width = _WIDTHS[-1]
    minimum_samples = 31 * _HOP
    fixed_tables = (
        "spectrogram_extractor.stft.conv_real.weight",
        "spectrogram_extractor.stft.conv_imag.weight",
        "logmel_extractor.melW",
    )

    def __init__(self) -> None:
        super().__init__()
        self.log_mel = PannsLogMel()
        self.bn0 = nn.BatchNorm2d(_MEL_BANDS)
        for index, (channels, width) in enumerate(pairwise((1, *_WIDTHS)), start=1):
            pooling = 1 if index == len(_WIDTHS) else 2
            self.add_module(f"conv_block{index}", ConvolutionBlock(channels, width, pooling))
        self.fc1 = nn.Linear(_WIDTHS[-1], _WIDTHS[-1])
        self.fc_audioset = nn.Linear(_WIDTHS[-1], CLASS_COUNT)

    def blocks(self, spectrogram: Tensor) -> list[Tensor]:
        """Output of each of the six blocks for a log-mel [B, 1, T, 64]."""
        # The norm is per mel band, so the bands take the place of the channels for a moment.
        maps = self.bn0(spectrogram.transpose(1, 3)).transpose(1, 3)
        outputs = []
        for index in range(1, len(_WIDTHS) + 1):
            maps = F.dropout(self.get_submodule(f"conv_block{index}")(maps), 0.2, self.training)
            outputs.append(maps)
        return outputs

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Embedding [B, 2048] of a log-mel [B, 1, T, 64]."""
        over_time = self.blocks(spectrogram)[-1].mean(dim=3)
        pooled = over_time.amax(dim=2) + over_time.mean(dim=2)
        hidden = F.relu(self.fc1(F.dropout(pooled, 0.5, self.training)))
        return F.dropout(hidden, 0.5, self.training)

    def classify(self, feature: Tensor) -> Tensor:
        """Class scores [B, 527] of an embedding [B, 2048]."""
        return self.fc_audioset(feature)
