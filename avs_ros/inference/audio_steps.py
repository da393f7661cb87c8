"""Audio networks as programs for engines, from the samples on."""

from __future__ import annotations

from torch import Tensor, nn

from avs_ros.inference.engines.program import StepProgram
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.sound import SAMPLE_RATE


class AudioEncoderStep(nn.Module):
    """An audio network in evaluation mode: window ``[1, 16000]`` -> feature and class scores."""

    def __init__(self, network: AudioNetwork) -> None:
        super().__init__()
        self.network = network
        # All of it: exporters leave every part in the mode of the whole.
        self.eval().requires_grad_(False)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """``[1, 16000]`` -> ``[1, A]``, ``[1, 527]``."""
        return self.network.hear(waveform)


def audio_program(network: AudioNetwork, name: str) -> StepProgram:
    """``network`` for any engine; windows must be finite (see :class:`CachedAudioEncoder`)."""
    return StepProgram(
        name=f"{name}_audio",
        module=AudioEncoderStep(network),
        inputs={"waveform": (1, SAMPLE_RATE)},
        outputs=("feature", "audio_logits"),
        decision="",
    )
