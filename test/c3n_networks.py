"""Small C3Ns with lively weights, for tests."""

from __future__ import annotations

import numpy as np
import torch

from avs_ros.models.c3n import C3N
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.c3n.streaming import C3NStep, StepOutput
from avs_ros.models.stream_memory import StreamMemory


def small_similarity(rows: int = 1000) -> np.ndarray:
    return (np.random.RandomState(3).rand(rows, 527) * 2 - 1).astype(np.float32)


def lively(network: C3N, seed: int = 0) -> C3N:
    """Random weights of a scale at which every part of the network matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                fan_in = float(np.prod(parameter.shape[1:]))
                parameter.copy_(noise / np.sqrt(fan_in))
            else:
                parameter.copy_(0.1 * noise + (0.0 if name.endswith("bias") else 1.0))
        for block in network.tpavi:
            norm = block.project_norm
            norm.weight.copy_(1 + 0.1 * torch.randn(norm.weight.shape, generator=generator))
            norm.running_mean.copy_(0.1 * torch.randn(norm.weight.shape, generator=generator))
            norm.running_var.uniform_(0.8, 1.2, generator=generator)
    return network.eval()


def light(image_size: int = 64, rows: int = 1003, audio_width: int = 384) -> C3N:
    return lively(
        C3N(
            "mobilenetv2_100",
            audio_width,
            small_similarity(rows),
            channels=64,
            decoder="light",
            image_size=image_size,
        )
    )


def inputs(count: int, size: int, audio_width: int, seed: int = 5) -> tuple[torch.Tensor, ...]:
    """Frames ``[N, 3, S, S]``, audio features ``[N, A]``, audio logits ``[N, 527]``."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, 3, size, size, generator=generator),
        torch.randn(count, audio_width, generator=generator).relu(),
        torch.randn(count, 527, generator=generator) * 3,
    )


class Stream:
    """C3N's step with the memory that feeds it, as a segmenter has them."""

    def __init__(self, network: C3N, frames_per_clip: int = 5) -> None:
        self.core = C3NStep(network, frames_per_clip)
        self._memory = StreamMemory((STAGES, self.core.state_width), frames_per_clip)
        self.reset = self._memory.reset

    @torch.no_grad()
    def step(
        self, frame: torch.Tensor, feature: torch.Tensor, logits: torch.Tensor, stamp_ns: int
    ) -> StepOutput:
        past, shares = (torch.from_numpy(x).to(frame) for x in self._memory.recall(stamp_ns))
        out: StepOutput = self.core(frame, feature, logits, past, shares)
        self._memory.remember(stamp_ns, out.state.float().cpu().numpy())
        return out
