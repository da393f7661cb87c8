"""The paper's fusion part: each stage brought to a common width, then asked what it hears.

ASPP sees a stage at five ranges.  TPAVI (Temporal Pixel-wise Audio-Visual Interaction, "dot"
mode) is a cross-modal non-local block, taken over from AVSBench: each pixel asks the sound of
every second of the clip, and takes what it finds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

RATES = (6, 12, 18)


class AtrousSpatialPyramidPooling(nn.Module):
    """Five parallel views of a stage, concatenated and mixed; linear from end to end.

    In the order of concatenation: global mean -> 1x1; 1x1; 3x3 with dilation 6, 12 and 18.
    No norm and no activation anywhere; every convolution has a bias.
    ``[B, in_channels, h, w]`` -> ``[B, channels, h, w]``.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.pooled = nn.Conv2d(in_channels, channels, 1)
        self.point = nn.Conv2d(in_channels, channels, 1)
        self.dilated = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate) for rate in RATES
        )
        self.project = nn.Conv2d((2 + len(RATES)) * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gated stage ``[B, in_channels, h, w]`` -> ``[B, channels, h, w]``."""
        # Bilinear upsampling of a single position is that position everywhere.
        everywhere = self.pooled(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        views = [everywhere, self.point(x), *(conv(x) for conv in self.dilated)]
        return self.project(torch.cat(views, dim=1))


class TemporalPixelwiseAudioVisualInteraction(nn.Module):
    """Non-local block over the T frames of a clip, with the sound as its keys.

        a = align(audio) at every pixel;  theta = W_theta x, phi = W_phi a, g = W_g x
        y = (theta^T phi / (T h w)) g;    z = LayerNorm(x + BN(W_z y))

    There is no softmax, and phi is the same at each pixel of a frame, so exactly
    ``y_i = theta_i^T K`` with ``K = 1/T sum_t phi_t mean_p(g_{t,p})^T``: rank T instead of a
    ``[T h w, T h w]`` affinity.  ``full_affinity``, where set, computes that affinity all the
    same, as the published code does.
    """

    full_affinity = False

    def __init__(self, channels: int, audio_width: int) -> None:
        super().__init__()
        inner = channels // 2
        self.align = nn.Linear(audio_width, channels)
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Conv3d(channels, inner, 1)
        self.g = nn.Conv3d(channels, inner, 1)
        self.project = nn.Conv3d(inner, channels, 1)
        self.project_norm = nn.BatchNorm3d(channels)
        self.norm = nn.LayerNorm(channels)
        # The block starts as the identity (before its LayerNorm).
        nn.init.zeros_(self.project_norm.weight)
        nn.init.zeros_(self.project_norm.bias)

    def forward(self, x: Tensor, audio: Tensor, frames_per_clip: int) -> Tensor:
        """``[B*T, C, h, w]`` and audio features ``[B*T, A]`` -> ``[B*T, C, h, w]``.

        Frames of a clip follow one another; ``frames_per_clip`` is T.
        """
        n, c, h, w = x.shape
        clip = x.reshape(-1, frames_per_clip, c, h, w).transpose(1, 2)  # [B, C, T, h, w]
        sound = self.align(audio).reshape(-1, frames_per_clip, c).transpose(1, 2)
        sound = sound[:, :, :, None, None]  # [B, C, T, 1, 1]
        found = self._affine(clip, sound) if self.full_affinity else self._rank(clip, sound)
        z = clip + self.project_norm(self.project(found))
        z = self.norm(z.permute(0, 2, 3, 4, 1))  # [B, T, h, w, C]
        return z.reshape(n, h, w, c).permute(0, 3, 1, 2)

    def _rank(self, clip: Tensor, sound: Tensor) -> Tensor:
        """Y ``[B, C/2, T, h, w]`` through the matrix K."""
        theta, phi, g = self.theta(clip), self.phi(sound), self.g(clip)
        values = g.mean(dim=(3, 4))  # [B, C/2, T]
        kernel = torch.einsum("bit,bjt->bij", phi[:, :, :, 0, 0], values) / clip.shape[2]
        return torch.einsum("bithw,bij->bjthw", theta, kernel)

    def _affine(self, clip: Tensor, sound: Tensor) -> Tensor:
        """Y ``[B, C/2, T, h, w]`` through the affinity of all pixels with all pixels."""
        b, _, t, h, w = clip.shape
        sound = sound.expand(-1, -1, -1, h, w)
        theta, phi, g = (
            part.flatten(2) for part in (self.theta(clip), self.phi(sound), self.g(clip))
        )
        affinity = theta.transpose(1, 2) @ phi / (t * h * w)  # [B, Thw, Thw]
        return (affinity @ g.transpose(1, 2)).transpose(1, 2).reshape(b, -1, t, h, w)
