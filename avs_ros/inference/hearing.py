"""An audio network for a stream: each window is heard once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from avs_ros.errors import AudioFormatError
from avs_ros.segmentation import Float

SAMPLE_RATE = 16000


class Hearing:
    """Window float32 ``[16000]`` -> (feature ``[1, A]``, AudioSet logits ``[1, 527]``), NumPy.

    ``network``: windows ``[1, 16000]`` -> both, usually a runner of ``hearing_program``.  The last
    few distinct windows are remembered: silence, replays and several frames of one stamp cost
    nothing.
    """

    def __init__(self, network: Callable[[Any], Sequence[Any]], remembered: int = 8) -> None:
        self._network = network
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
        feature, logits = self._network(window[None])
        # Engines reuse their arrays.
        heard = (np.array(feature, np.float32), np.array(logits, np.float32))
        self._known[key] = heard
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return heard
