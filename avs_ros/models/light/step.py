"""LightC3N one frame at a time: folded, without autograd, a pure function of tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from avs_ros.models.c3n.streaming import C3NStep
from avs_ros.models.light.network import LightC3N
from avs_ros.models.light.selection import raise_to_visible, visible_evidence


class LightStepOutput(NamedTuple):
    """``masks`` log-odds ``[1, K, S/4, S/4]``, raised so that each has a visible part.

    ``gate`` ``[1, K]`` logits that the category is seen and heard, ``companion_logits`` ``[1, K]``
    that it is so, too, beside the first of them; ``label`` ``[1]``.

    ``state`` ``[4, 2C + 1]``: what later frames need of this one.
    """

    masks: Tensor
    gate: Tensor
    companion_logits: Tensor
    label: Tensor
    state: Tensor


class LightStep(nn.Module):
    """The visual part of a :class:`LightC3N` for live streams: the same numbers, less work.

    Built from the network's present weights: build it again after changing them.
    """

    def __init__(self, network: LightC3N, frames_per_clip: int = 1) -> None:
        super().__init__()
        self.trunk = C3NStep(network.c3n, frames_per_clip)
        self.network = network
        self.eval()
        self.requires_grad_(False)

    def forward(
        self,
        frame: Tensor,
        audio_feature: Tensor,
        audio_logits: Tensor,
        heard: Tensor,
        past: Tensor,
        shares: Tensor,
    ) -> LightStepOutput:
        """``frame`` ``[1, 3, S, S]`` in -1..1; ``heard`` ``[1, K]`` category evidence.

        The other arguments are those of :class:`C3NStep`.
        """
        trunk, network = self.trunk, self.network
        trace = trunk.backbone(network.trunk_view(frame))
        label = trunk.c3im(trace.logits, audio_logits)
        fused, state = trunk.fuse(trace, label, audio_feature, past, shares)
        objectness, paths = trunk.decoder(fused)
        objectness, semantic, class_maps = network.maps(
            frame, objectness, paths[0], trace.record["hidden"]
        )
        plain = network.masks(semantic, objectness)
        seen = visible_evidence(plain, class_maps)
        gate = network.gate(heard, seen)
        companion_logits = network.companion_logits(gate, heard, seen)
        masks = raise_to_visible(network.masks(semantic, objectness, heard))
        return LightStepOutput(masks, gate, companion_logits, label, state)
