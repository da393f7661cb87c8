"""Images into a network's input: resized and normalised once, without needless copies."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from avs_ros.errors import ImageFormatError
from avs_ros.segmentation import Bytes, Float


class FramePreparation:
    """uint8 RGB ``[H, W, 3]`` -> normalised float32 ``[1, 3, S, S]``.

    The image is stretched to S x S; ``mean`` and ``std`` are of 0..1 pixels.
    ``interpolation``: OpenCV's (bilinear, as AVSBench's frames were made, unless given).  The
    returned array is reused by the next call.
    """

    def __init__(
        self,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: int = cv2.INTER_LINEAR,
    ) -> None:
        self._size = (size, size)
        self._interpolation = interpolation
        self._scale = (1.0 / (255.0 * np.asarray(std, np.float32))).reshape(3, 1, 1)
        offset = -np.asarray(mean, np.float32) / np.asarray(std, np.float32)
        self._offset = offset.reshape(3, 1, 1)
        self._out = np.empty((1, 3, size, size), np.float32)

    def __call__(self, frame: Bytes) -> Float:
        """See the class; raises ImageFormatError for anything but uint8 RGB."""
        check_frame(frame)
        small = frame
        if frame.shape[1::-1] != self._size:
            small = np.asarray(cv2.resize(frame, self._size, interpolation=self._interpolation))
        np.multiply(small.transpose(2, 0, 1), self._scale, out=self._out[0])
        self._out[0] += self._offset
        return self._out


class WholePreparation:
    """uint8 RGB ``[H, W, 3]`` -> float32 ``[1, 3, S, S]``: to scale, at the top left, grey beside.

    ``mean`` and ``std`` are of 0..1 pixels.  The returned array is reused by the next call.
    """

    GREY = 114

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self._size = size
        self._prepare = FramePreparation(size, mean, std)
        self._square = np.full((size, size, 3), self.GREY, np.uint8)
        self._shown = (size, size)

    def __call__(self, frame: Bytes) -> tuple[Float, tuple[float, float]]:
        """Also the shares of width and height that the image takes; errors as above."""
        check_frame(frame)
        height, width = frame.shape[:2]
        scale = self._size / max(height, width)
        shown = max(1, round(width * scale)), max(1, round(height * scale))
        if shown != self._shown:
            self._square[:] = self.GREY
            self._shown = shown
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._square[: shown[1], : shown[0]] = cv2.resize(frame, shown, interpolation=how)
        return self._prepare(self._square), (shown[0] / self._size, shown[1] / self._size)


def check_frame(frame: Bytes) -> None:
    """Raise ImageFormatError for anything but uint8 RGB."""
    got = type(frame).__name__
    if isinstance(frame, np.ndarray):
        got = f"{frame.dtype} {list(frame.shape)}"
        if frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8 and frame.size:
            return
    raise ImageFormatError(f"a frame must be uint8 [H, W, 3] RGB, got {got}")
