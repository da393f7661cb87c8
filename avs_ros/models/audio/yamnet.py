"""YAMNet's layout: a MobileNetV1 on log-mel that names sounds of one second, 3.7 M parameters.

M. Plakal, D. Ellis, *YAMNet* (TensorFlow models, 2019): 96 frames of 64 mel bands, AudioSet's
classes without six of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from timm.layers.create_conv2d import create_conv2d
from torch import Tensor, nn

from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.vggish import EXAMPLE_FRAMES, VGGishLogMel

# (channels, stride) of the separable layers.
_LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_STEM = 32


class _Convolution(nn.Module):
    """3x3 or 1x1 with TensorFlow's SAME padding, then ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.convolution = create_conv2d(
            inputs, outputs, kernel, stride=stride, padding="same", bias=True,
            depthwise=inputs == outputs and kernel > 1,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T, F]`` both ways; strides halve even sizes."""
        return functional.relu6(self.convolution(x))


class Yamnet(AudioNetwork):
    """A second at 16 kHz -> feature ``[B, 1024]`` and AudioSet logits ``[B, 527]``.

    It hears the last 0.975 s of the window.
    """

    feature_width = 1024

    def __init__(self) -> None:
        super().__init__()
        self.mel = VGGishLogMel(offset=0.001)
        layers: list[nn.Module] = [_Convolution(1, _STEM, 3, 2)]
        width = _STEM
        for outputs, stride in _LAYERS:
            layers += [_Convolution(width, width, 3, stride), _Convolution(width, outputs, 1, 1)]
            width = outputs
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, CLASS_COUNT)

    def front_end(self, waveform: Tensor) -> Tensor:
        """Log-mel ``[B, 1, 96, 64]`` of the last 96 frames."""
        frames = self.mel.frames(waveform[:, -(400 + (EXAMPLE_FRAMES - 1) * 160) :])
        return frames[:, None]

    def encode(self, spectrogram: Tensor) -> Tensor:
        """Log-mel -> feature ``[B, 1024]``."""
        return torch.mean(self.layers(spectrogram), dim=(2, 3))

    def classify(self, feature: Tensor) -> Tensor:
        """Feature -> logits ``[B, 527]``."""
        return self.classifier(feature)
