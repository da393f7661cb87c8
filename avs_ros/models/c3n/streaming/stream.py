"""A live stream through C3N: the step, and the memory that feeds it."""

from __future__ import annotations

import torch
from torch import Tensor

from avs_ros.errors import AudioFormatError, ModelError
from avs_ros.models.c3n.backbone import STAGES
from avs_ros.models.c3n.network import C3N
from avs_ros.models.c3n.streaming.step import C3NStep, StepOutput
from avs_ros.models.stream_memory import StreamMemory


class StreamingC3N:
    """C3N for one stream, in PyTorch: each new frame once, the newest mask of its clip.

    At one frame per second a step's mask equals that of the newest frame of a clip of the last
    ``frames_per_clip`` frames.  Before so many have come, the clip is what there is.
    """

    def __init__(self, network: C3N, frames_per_clip: int = 5) -> None:
        self.core = C3NStep(network, frames_per_clip)
        self._memory = StreamMemory((STAGES, self.core.state_width), frames_per_clip)

    def reset(self) -> None:
        """Forget the past frames."""
        self._memory.reset()

    @torch.no_grad()
    def step(
        self, frame: Tensor, audio_feature: Tensor, audio_logits: Tensor, stamp_ns: int
    ) -> StepOutput:
        """Segment the frame at ``stamp_ns`` (nanoseconds, rising).

        ``frame`` ``[1, 3, S, S]`` normalised; ``audio_feature`` ``[1, A]`` and ``audio_logits``
        ``[1, 527]`` of the second of sound that ends there.  Raises ModelError for other
        shapes, AudioFormatError for NaN or infinite audio values.
        """
        core = self.core
        expected = (
            ("frame", frame, (1, 3, core.image_size, core.image_size)),
            ("audio_feature", audio_feature, (1, core.audio_width)),
            ("audio_logits", audio_logits, (1, core.c3im.similarity.shape[1])),
        )
        for name, tensor, shape in expected:
            if tuple(tensor.shape) != shape:
                raise ModelError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
            if name != "frame" and not bool(torch.isfinite(tensor).all()):
                raise AudioFormatError(f"{name} holds NaN or infinite values")
        past, shares = self._memory.recall(stamp_ns)
        out: StepOutput = core(
            frame,
            audio_feature,
            audio_logits,
            torch.from_numpy(past).to(frame),
            torch.from_numpy(shares).to(frame),
        )
        self._memory.remember(stamp_ns, out.state.float().cpu().numpy())
        return out
