"""The visual backbone: a timm classifier seen as four stages and a class head.

C3N listens in on an ImageNet classifier (paper, figure 2): it takes the output of the last
block of each stage (``activations`` A_i, before the stage's norm: where the class-activated
weights are measured), the normed stage outputs (``features`` x_i: what is gated and decoded)
and the class scores.  A backbone declares its stage widths, how its stages are chained, and the
pixel statistics its weights were trained with; nothing else in C3N depends on which one it is.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from avs_ros.errors import ModelError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STAGES = 4


@dataclass(frozen=True)
class Taps:
    """What C3N takes from a backbone; stage 1 (stride 4) first, stage 4 (stride 32) last.

    ``activations``: four ``[B, C_i, h_i, w_i]``, output of each stage's last block.
    ``features``: four ``[B, C_i, h_i, w_i]``, the same after the stage's norm.
    ``logits``: ``[B, K]`` class scores before the softmax.
    """

    activations: tuple[Tensor, ...]
    features: tuple[Tensor, ...]
    logits: Tensor


class Backbone(nn.Module):
    """Four stages and a class head over a timm model; see :class:`Taps` for what comes out.

    ``widths``: channels of the four stages.  ``image_mean``/``image_std``: statistics of the
    0..1 RGB pixels the weights expect.  ``chains_normed``: whether a stage reads the normed
    output of the one before (PVT) or the plain one (Swin, MobileNet).
    """

    widths: tuple[int, int, int, int]
    image_mean: tuple[float, float, float] = IMAGENET_MEAN
    image_std: tuple[float, float, float] = IMAGENET_STD
    chains_normed = False
    net: Any

    def __init__(
        self, name: str, num_classes: int, drop_path: float = 0.0, **options: Any
    ) -> None:
        """Timm's model ``name`` with random weights; ``options``: more for timm."""
        super().__init__()
        self.net = timm.create_model(
            name, pretrained=False, num_classes=num_classes, drop_path_rate=drop_path, **options
        )
        # MobileNet's first feature is its stem's.
        self.widths = tuple(info["num_chs"] for info in self.net.feature_info[-STAGES:])

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Stage ``index`` (0..3): frames or the last stage's output -> A ``[B, C, h, w]``."""
        raise NotImplementedError

    def normed(self, index: int, activation: Tensor) -> Tensor:
        """The stage's norm: A ``[B, C, h, w]`` -> x ``[B, C, h, w]``."""
        raise NotImplementedError

    def classify(self, feature: Tensor) -> Tensor:
        """Class head: x_4 ``[B, C_4, h_4, w_4]`` -> logits ``[B, K]``."""
        raise NotImplementedError

    def forward(self, frames: Tensor) -> Taps:
        """Normalised frames ``[B, 3, H, W]`` -> taps that gradients can be taken at.

        Everything after A_1 is recorded for autograd even where the caller switched it off,
        because the class-activated weights need it; what lies before A_1 follows the caller.
        """
        activations: list[Tensor] = []
        features: list[Tensor] = []
        carry = frames
        for index in range(STAGES):
            with contextlib.nullcontext() if index == 0 else torch.enable_grad():
                activation = self.stage(index, carry)
            if not activation.requires_grad:
                activation.requires_grad_(True)
            with torch.enable_grad():
                feature = self.normed(index, activation)
            activations.append(activation)
            features.append(feature)
            carry = feature if self.chains_normed else activation
        with torch.enable_grad():
            logits = self.classify(features[-1])
        return Taps(tuple(activations), tuple(features), logits)


class PyramidVisionTransformer(Backbone):
    """PVT-v2-B0..B5 (timm); stages are chained through their norms, the head reads norm 4."""

    chains_normed = True

    def stage(self, index: int, x: Tensor) -> Tensor:
        """See :meth:`Backbone.stage`; tokens stay row-major, the result is a view of them."""
        stage = self.net.stages[index]
        grid = self.net.patch_embed(x) if index == 0 else stage.downsample(x)
        b, h, w, c = grid.shape
        tokens = grid.reshape(b, h * w, c)
        for block in stage.blocks:
            tokens = block(tokens, (h, w))
        return tokens.reshape(b, h, w, c).permute(0, 3, 1, 2)

    def normed(self, index: int, activation: Tensor) -> Tensor:
        """See :meth:`Backbone.normed`."""
        return _channel_norm(self.net.stages[index].norm, activation)

    def classify(self, feature: Tensor) -> Tensor:
        """Linear head on the mean over positions."""
        return self.net.head(feature.mean(dim=(2, 3)))


class SwinTransformer(Backbone):
    """Swin (timm), with a norm per stage (C3N's norm0..norm3) and the head on the last one.

    timm has one norm after the last stage; it becomes ``norms[3]``.  Every second block shifts
    its windows by half, in the last stage too, where the map is one window: the published code
    does so (timm drops the shift there unless told to partition always).
    """

    def __init__(
        self, name: str, num_classes: int, drop_path: float = 0.0, image_size: int = 224
    ) -> None:
        """``image_size``: side of the square frames, px; tells how windows are masked."""
        super().__init__(
            name, num_classes, drop_path, img_size=image_size, always_partition=True
        )
        self.norms = nn.ModuleList([*(nn.LayerNorm(c) for c in self.widths[:3]), self.net.norm])
        del self.net.norm

    def stage(self, index: int, x: Tensor) -> Tensor:
        """See :meth:`Backbone.stage`."""
        grid = self.net.patch_embed(x) if index == 0 else x.permute(0, 2, 3, 1)
        return self.net.layers[index](grid).permute(0, 3, 1, 2)

    def normed(self, index: int, activation: Tensor) -> Tensor:
        """See :meth:`Backbone.normed`."""
        return _channel_norm(self.norms[index], activation)

    def classify(self, feature: Tensor) -> Tensor:
        """Linear head on the mean over positions."""
        return self.net.head.fc(feature.mean(dim=(2, 3)))


class MobileNetV2(Backbone):
    """MobileNetV2 (timm) with TensorFlow's "SAME" padding and pixels in -1..1; identity norms.

    Batch norm always uses its stored statistics: C3N treats frames one by one, and published
    MobileNetV2 weights exist whose stored statistics are folded constants.
    """

    image_mean = (0.5, 0.5, 0.5)
    image_std = (0.5, 0.5, 0.5)
    # timm's seven groups of blocks, cut where the stride changes after 4, 8, 16 and 32.
    groups = ((0, 2), (2, 3), (3, 5), (5, 7))

    def __init__(self, name: str, num_classes: int, drop_path: float = 0.0) -> None:
        super().__init__(name, num_classes, drop_path, pad_type="same")

    def train(self, mode: bool = True) -> MobileNetV2:
        """Switch to training mode, batch norm excepted."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def stage(self, index: int, x: Tensor) -> Tensor:
        """See :meth:`Backbone.stage`."""
        if index == 0:
            x = self.net.bn1(self.net.conv_stem(x))
        first, last = self.groups[index]
        for group in self.net.blocks[first:last]:
            x = group(x)
        return x

    def normed(self, index: int, activation: Tensor) -> Tensor:
        """No norm: A itself."""
        return activation

    def classify(self, feature: Tensor) -> Tensor:
        """1x1 convolution to 1280 channels, ReLU6, mean over positions, linear head."""
        hidden = self.net.bn2(self.net.conv_head(feature))
        return self.net.classifier(hidden.mean(dim=(2, 3)))


# name -> (class, drop-path rate of the official training; 0 where there is none)
BACKBONES: dict[str, tuple[type[Backbone], float]] = {
    **{f"pvt_v2_b{i}": (PyramidVisionTransformer, 0.1) for i in range(6)},
    "swin_base_patch4_window7_224": (SwinTransformer, 0.2),
    "mobilenetv2_100": (MobileNetV2, 0.0),
}


def build_backbone(name: str, num_classes: int = 1000, image_size: int = 224) -> Backbone:
    """Make a backbone by its timm name, with random weights and the published drop-path rate.

    ``num_classes``: rows of its class head.  ``image_size``: side of the square frames, a
    multiple of 32.  Raises ModelError for an unknown name or an impossible size.
    """
    if name not in BACKBONES:
        raise ModelError(f"unknown visual backbone {name!r}; known: {', '.join(BACKBONES)}")
    if image_size <= 0 or image_size % 32:
        raise ModelError(f"image_size must be a positive multiple of 32, got {image_size}")
    maker, rate = BACKBONES[name]
    if maker is not SwinTransformer:
        return maker(name, num_classes, rate)
    if image_size % 224:
        raise ModelError(
            f"{name} works in windows of 7 positions: image_size must be a multiple of 224, "
            f"got {image_size}"
        )
    return SwinTransformer(name, num_classes, rate, image_size)


def _channel_norm(norm: Any, x: Tensor) -> Tensor:
    """LayerNorm over the channels of ``[B, C, h, w]``."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
