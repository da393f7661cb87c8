"""An audio network for a stream: each window is heard once."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch

from avs_ros.errors import AudioFormatError
from avs_ros.models.audio.network import SAMPLE_RATE, AudioNetwork
from avs_ros.segmentation import Float


class Hearing:
    """Window float32 ``[n]`` -> (feature ``[1, A]``, AudioSet logits ``[1, 527]``), NumPy.

    The last few distinct windows are remembered: silence, replays and several frames of one
    stamp cost nothing.
    """

    def __init__(self, network: AudioNetwork, device: str, remembered: int = 8) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self._device = torch.device(device)
        self._known: OrderedDict[bytes, tuple[Float, Float]] = OrderedDict()
        self._remembered = remembered

    def __call__(self, window: Float) -> tuple[Float, Float]:
        """See the class.  Raises AudioFormatError for another length, NaN or infinite values."""
        if window.shape != (SAMPLE_RATE,):
            raise AudioFormatError(
                f"a window must be {SAMPLE_RATE} samples (1 s), got {list(window.shape)}"
            )
        if not np.isfinite(window).all():
            raise AudioFormatError("the window of sound holds NaN or infinite values")
        window = np.ascontiguousarray(window, np.float32)
        key = window.tobytes()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        with torch.no_grad():
            feature, logits = self.network(torch.tensor(window, device=self._device)[None])
        heard = (feature.cpu().numpy(), logits.cpu().numpy())
        self._known[key] = heard
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return heard
