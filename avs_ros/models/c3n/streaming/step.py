"""One frame through C3N, given what earlier seconds left behind: pure tensors in and out.

The fusion modules have their linear parts multiplied out: the same maps, less work.  ASPP has its
closing 1x1 convolution folded into each branch.  TPAVI is a sum over seconds: what one frame needs
to know of each second is 2C + 1 numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from avs_ros.errors import ModelError
from avs_ros.models.c3n.backbone import (
    STAGES,
    Backbone,
    MobileNetV2,
    PyramidVisionTransformer,
    SwinTransformer,
)
from avs_ros.models.c3n.ccam import cognitive_consensus_attention
from avs_ros.models.c3n.fusion import (
    RATES,
    AtrousSpatialPyramidPooling,
    TemporalPixelwiseAudioVisualInteraction,
)
from avs_ros.models.c3n.network import C3N
from avs_ros.models.c3n.streaming.traced import Trace, TracedBackbone
from avs_ros.models.c3n.streaming.traced_mobilenet import TracedMobileNetV2
from avs_ros.models.c3n.streaming.traced_pvt import TracedPyramidVisionTransformer
from avs_ros.models.c3n.streaming.traced_swin import TracedSwinTransformer


class FoldedPyramidPooling(nn.Module):
    """An :class:`AtrousSpatialPyramidPooling` for maps of one size, ``side`` x ``side``.

    Nothing in ASPP is non-linear, so with P the closing 1x1, split by branch: the pooled branch
    is a matrix on the mean; the 1x1 branch is one matrix; a dilated branch is a dilated
    convolution with P's rows mixed in.  A dilation of ``side`` or more reads only padding
    around its centre, so all that is left of it joins the 1x1 branch.
    """

    pooled: Tensor
    point: Tensor
    bias: Tensor

    def __init__(self, aspp: AtrousSpatialPyramidPooling, side: int) -> None:
        super().__init__()
        project, total = _affine(aspp.project)
        pooled, pooled_bias = _affine(aspp.pooled)
        point, point_bias = _affine(aspp.point)
        shares = project.split(len(project), dim=1)
        total = total + shares[0] @ pooled_bias + shares[1] @ point_bias
        point = shares[1] @ point
        self.rates: list[int] = []
        dtype = aspp.project.weight.dtype
        for rate, share, branch in zip(RATES, shares[2:], aspp.dilated, strict=True):
            weight, bias = _affine(branch)
            total = total + share @ bias
            kernel = torch.einsum("om,mikl->oikl", share, weight)
            if rate >= side:
                point = point + kernel[:, :, 1, 1]
            else:
                name = f"kernel{len(self.rates)}"
                self.register_buffer(name, kernel.to(dtype), persistent=False)
                self.rates.append(rate)
        self.register_buffer("pooled", (shares[0] @ pooled).to(dtype), persistent=False)
        self.register_buffer("point", point.to(dtype)[:, :, None, None], persistent=False)
        self.register_buffer("bias", total.to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Gated stage ``[B, in_channels, side, side]`` -> ``[B, channels, side, side]``."""
        out = functional.conv2d(x, self.point, self.bias)
        for number, rate in enumerate(self.rates):
            kernel = getattr(self, f"kernel{number}")
            out = out + functional.conv2d(x, kernel, padding=rate, dilation=rate)
        everywhere = functional.linear(x.mean(dim=(2, 3)), self.pooled)
        return out + everywhere[:, :, None, None]


class FoldedAudioVisualInteraction(nn.Module):
    """A :class:`TemporalPixelwiseAudioVisualInteraction` in evaluation mode, frame by frame.

    With ``theta_i = W_theta x_i + b_theta`` the affinity to second t is ``x_i . q_t + c_t``,
    where ``q_t = W_theta^T phi_t`` and ``c_t = b_theta . phi_t`` depend on the sound of t alone,
    and what is taken from t is ``r_t = BN'(W_z mean_p(g_t))``, which depends on frame t alone:

        z = LayerNorm(x + constant + sum_t share_t (x . q_t + c_t) r_t),   share_t = 1 / T

    align, phi and theta fold into one matrix [A -> C + 1], g, W_z and the batch norm into
    another [C -> C].  A second's *state* is the row ``(q, c, r)``.
    """

    listen: Tensor
    listen_bias: Tensor
    give: Tensor
    give_bias: Tensor
    constant: Tensor

    def __init__(self, tpavi: TemporalPixelwiseAudioVisualInteraction) -> None:
        super().__init__()
        theta, theta_bias = _affine(tpavi.theta)
        phi, phi_bias = _affine(tpavi.phi)
        align, align_bias = _affine(tpavi.align)
        asked = torch.cat([theta.T, theta_bias[None]])  # [C + 1, C/2]
        listen = asked @ phi @ align
        listen_bias = asked @ (phi @ align_bias + phi_bias)
        g, g_bias = _affine(tpavi.g)
        project, project_bias = _affine(tpavi.project)
        bn = tpavi.project_norm
        assert bn.running_mean is not None and bn.running_var is not None
        scale = bn.weight.detach().double() / torch.sqrt(bn.running_var.double() + bn.eps)
        constant = (project_bias - bn.running_mean.double()) * scale + bn.bias.detach().double()
        folded = {
            "listen": listen, "listen_bias": listen_bias, "give": scale[:, None] * project @ g,
            "give_bias": scale * (project @ g_bias), "constant": constant,
        }  # fmt: skip
        for name, tensor in folded.items():
            self.register_buffer(name, tensor.to(tpavi.align.weight.dtype), persistent=False)
        self.norm = tpavi.norm

    def state(self, x: Tensor, audio: Tensor) -> Tensor:
        """State ``[B, 2C + 1]`` of a frame ``[B, C, h, w]`` and its sound ``[B, A]``."""
        heard = functional.linear(audio, self.listen, self.listen_bias)
        given = functional.linear(x.mean(dim=(2, 3)), self.give, self.give_bias)
        return torch.cat([heard, given], dim=1)

    def forward(self, x: Tensor, states: Tensor, shares: Tensor) -> Tensor:
        """``[B, C, h, w]``, states ``[B, T, 2C + 1]``, shares ``[T]`` -> ``[B, C, h, w]``.

        ``shares``: 1 / T for each second there is, 0 for one there is not.
        """
        b, c, h, w = x.shape
        pixels = x.flatten(2).transpose(1, 2)  # [B, hw, C]
        asked, offset, given = states[..., :c], states[..., c : c + 1], states[..., c + 1 :]
        affinity = pixels @ asked.transpose(1, 2) + offset.transpose(1, 2)  # [B, hw, T]
        z = pixels + (affinity @ (given * shares[:, None]) + self.constant)
        return self.norm(z).transpose(1, 2).reshape(b, c, h, w)


def _affine(layer: Any) -> tuple[Tensor, Tensor]:
    """A layer's weight (of a 1x1 convolution its matrix) and bias, in float64."""
    weight: Tensor = layer.weight.detach().double()
    pointwise = all(side == 1 for side in weight.shape[2:])
    return weight.flatten(1) if pointwise else weight, layer.bias.detach().double()


class StepOutput(NamedTuple):
    """``logits`` ``[1, 1, H, W]`` (light decoder: at stride 4).  ``label`` int64 ``[1]``.

    ``visual_logits`` ``[1, K]``.  ``state`` ``[4, 2C + 1]``: what later frames need of this one.
    """

    logits: Tensor
    label: Tensor
    visual_logits: Tensor
    state: Tensor


class C3NStep(nn.Module):
    """The per-frame part of a C3N in evaluation mode, folded; exact.

    Only TPAVI mixes frames, and what it takes from another frame is a *state* of 2C + 1 numbers
    per stage, so a live stream runs everything once per new frame.  The step is a pure function
    of static shapes: it can be exported or captured.  It is built from the network's present
    weights: build it again after changing them.
    """

    def __init__(self, network: C3N, frames_per_clip: int = 5) -> None:
        super().__init__()
        if frames_per_clip < 1:
            raise ModelError(f"a clip needs at least one frame, got {frames_per_clip}")
        self.frames_per_clip = frames_per_clip
        self.image_size = network.image_size
        self.audio_width = network.audio_width
        self.state_width = 2 * network.channels + 1
        self.backbone = traced(network.backbone)
        self.c3im = network.c3im
        sides = [network.image_size // stride for stride in (4, 8, 16, 32)]
        self.aspp = nn.ModuleList(
            FoldedPyramidPooling(aspp, side)  # type: ignore[arg-type]
            for aspp, side in zip(network.aspp, sides, strict=True)
        )
        self.tpavi = nn.ModuleList(
            FoldedAudioVisualInteraction(tpavi)  # type: ignore[arg-type]
            for tpavi in network.tpavi
        )
        self.decoder = network.decoder
        self.eval()
        self.requires_grad_(False)

    def forward(
        self,
        frame: Tensor,
        audio_feature: Tensor,
        audio_logits: Tensor,
        past: Tensor,
        shares: Tensor,
    ) -> StepOutput:
        """Segment one frame.

        ``frame`` ``[1, 3, S, S]`` normalised; ``audio_feature`` ``[1, A]``; ``audio_logits``
        ``[1, 527]``; ``past`` ``[T - 1, 4, 2C + 1]``: states of earlier frames, in any order;
        ``shares`` ``[T]``: 1 / (number of frames there are) for each of ``past`` and, last, for
        this frame; 0 for a row of ``past`` that is not there.
        """
        trace = self.backbone(frame)
        label = self.c3im(trace.logits, audio_logits)
        fused, state = self.fuse(trace, label, audio_feature, past, shares)
        logits, _ = self.decoder(fused)
        return StepOutput(logits, label, trace.logits, state)

    def fuse(
        self, trace: Trace, label: Tensor, audio_feature: Tensor, past: Tensor, shares: Tensor
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """CCAM, ASPP and TPAVI of every stage: what the decoder takes, and the new ``state``."""
        weights = self.backbone.channel_weights(trace, label)
        states, fused = [], []
        for stage in range(STAGES):
            gated = cognitive_consensus_attention(trace.features[stage], weights[stage])
            x = self.aspp[stage](gated)
            state = self.tpavi[stage].state(x, audio_feature)  # type: ignore[operator]
            rows = torch.cat([past[:, stage], state])[None]
            fused.append(self.tpavi[stage](x, rows, shares))
            states.append(state)
        return tuple(fused), torch.cat(states)


def traced(backbone: Backbone) -> TracedBackbone:
    """The backbone with a hand-written backward pass, sharing its weights."""
    if isinstance(backbone, PyramidVisionTransformer):
        return TracedPyramidVisionTransformer(backbone)
    if isinstance(backbone, SwinTransformer):
        return TracedSwinTransformer(backbone)
    assert isinstance(backbone, MobileNetV2)
    return TracedMobileNetV2(backbone)
