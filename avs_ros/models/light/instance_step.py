"""The light model's detector by itself: everything that could sound, from the image alone."""

from __future__ import annotations

from torch import Tensor, nn

from avs_ros.models.light.detector import Detections, Detector


class InstanceStep(nn.Module):
    """``whole_size``: side of the frames that the detector sees, px."""

    def __init__(self, detector: Detector, whole_size: int) -> None:
        super().__init__()
        self.detector, self.whole_size = detector, whole_size
        self.eval()
        self.requires_grad_(False)

    def forward(self, whole: Tensor) -> Detections:
        """``whole`` ``[1, 3, W, W]`` in -1..1: the image at the top left of a square, to scale.

        ``boxes`` are shares of the square, the rest is the detector's.
        """
        found: Detections = self.detector(whole)
        return found._replace(boxes=found.boxes / self.whole_size)
