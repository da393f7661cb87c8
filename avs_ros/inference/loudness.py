"""How loud a window of sound is, and whether what sounded in it has ended."""

from __future__ import annotations

import numpy as np

from avs_ros.segmentation import Float

# Below this nothing sounds.
SILENCE_DBFS = -60.0
# A sound has ended where it stays this far below the window's loudest moment.
RELEASE_DB = 30.0
# Moments are 50 ms long, at 16 kHz.
BLOCK = 800


def level_dbfs(window: Float) -> float:
    """Mean power of ``window`` (samples in -1..1) in dB; -120 for digital silence."""
    return float(10 * np.log10(float(np.mean(np.square(window))) + 1e-12))


def has_ended(window: Float, release: int) -> bool:
    """Whether the last ``release`` samples are silent against the window's loudest moment.

    The window's length is a multiple of ``BLOCK``; 0 samples never tell.
    """
    if release < BLOCK:
        return False
    blocks = np.square(window).reshape(-1, BLOCK).mean(axis=1)
    tail = float(blocks[-(release // BLOCK) :].max())
    return tail < float(blocks.max()) * 10 ** (-RELEASE_DB / 10)
