"""A stand-in whose probabilities and score are graded, so that every threshold can be felt."""

from __future__ import annotations

import numpy as np
from fakes import BrightnessSegmenter

from avs_ros.segmentation import Bytes, Float, Prediction


class GradedSegmenter(BrightnessSegmenter):
    """Two lamps, the brighter and the louder the more probable."""

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        loud = min(1.0, float(np.sqrt(np.mean(window**2))) / 0.4)
        bright = frame.mean(axis=2) / 255
        bright[:8, :8] = 0.9  # the second one
        probability = (bright * (0.5 + 0.5 * loud)).astype(np.float32)
        return Prediction(probability, loud, "lamp", 0, "Buzz", 1.0)
