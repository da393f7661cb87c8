"""Audio networks: waveform [B, 16000] at 16 kHz -> (feature [B, D], AudioSet logits [B, 527])."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from avs_ros.errors import ModelError
from avs_ros.models.audio.network import AudioNetwork
from avs_ros.models.weight_file import merged, read_weight_file

# Imported only when asked for: each network brings its own front end.
_NETWORKS = {
    "beats": ("avs_ros.models.audio.beats", "BEATs"),
    "panns": ("avs_ros.models.audio.panns", "Cnn14"),
    "vggish": ("avs_ros.models.audio.vggish", "VGGish"),
    "efficientat_mn04": ("avs_ros.models.audio.efficientat", "EfficientAT"),
}


def names() -> tuple[str, ...]:
    """Names that :func:`build` knows."""
    return tuple(_NETWORKS)


def build(
    name: str, checkpoint: str | Path | Sequence[str | Path] | None = None
) -> AudioNetwork:
    """Audio network ``name`` in evaluation mode, on the CPU.

    ``checkpoint`` is the network's public file or a safetensors file made from it
    (``avs weights convert``); VGGish's public weights are three files, given as a sequence.
    Without one the weights are random.

    Raises ModelError: unknown name. Raises CheckpointError: a file is missing, broken, or does not
    fit the network.
    """
    if name not in _NETWORKS:
        raise ModelError(f"unknown audio network {name!r}: choose from {', '.join(_NETWORKS)}")
    module, network_class = _NETWORKS[name]
    network: AudioNetwork = getattr(import_module(module), network_class)()
    if checkpoint is not None:
        paths = [checkpoint] if isinstance(checkpoint, (str, Path)) else checkpoint
        network.load_weight_file(merged([read_weight_file(path) for path in paths]))
    return network.eval()


__all__ = ["AudioNetwork", "build", "names"]
