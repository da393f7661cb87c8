"""Audio networks: waveform [B, 16000] at 16 kHz -> (feature [B, D], AudioSet logits [B, 527])."""

from avs_ros.models.audio.network import CLASS_COUNT, AudioNetwork
from avs_ros.models.audio.registry import build, names
from avs_ros.sound import SAMPLE_RATE

__all__ = ["CLASS_COUNT", "SAMPLE_RATE", "AudioNetwork", "build", "names"]
