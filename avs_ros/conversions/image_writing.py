"""Arrays -> ``sensor_msgs/Image`` and ``CompressedImage``."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.messages import Message, MessageTypes
from avs_ros.errors import ImageFormatError
from avs_ros.segmentation import Bytes

# Type of the samples and dimensions behind [H, W] -> encoding.
_ENCODINGS = {
    (np.dtype(np.uint8), ()): "mono8", (np.dtype(np.uint8), (3,)): "rgb8",
    (np.dtype(np.float32), ()): "32FC1",
}


def make_image(types: MessageTypes, header: Message, pixels: NDArray[Any]) -> Message:
    """``pixels`` -> ``sensor_msgs/Image`` with this ``header``.

    uint8 ``[H, W, 3]`` RGB becomes rgb8, uint8 ``[H, W]`` (a mask, or instance indices) mono8,
    float32 ``[H, W]`` 32FC1.  Raises :class:`ImageFormatError` for any other array.
    """
    encoding = _ENCODINGS.get((pixels.dtype, pixels.shape[2:]))
    if encoding is None or pixels.ndim < 2:
        raise ImageFormatError(f"an image cannot be made of {pixels.dtype} {pixels.shape}")
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return types("sensor_msgs/msg/Image")(
        header=header, height=height, width=width, encoding=encoding, is_bigendian=0,
        step=pixels.nbytes // max(height, 1), data=types.array(pixels.view(np.uint8)),
    )


def rgb_to_compressed(
    types: MessageTypes, header: Message, rgb: Bytes, quality: int = 80
) -> Message:
    """uint8 ``[H, W, 3]`` RGB -> ``sensor_msgs/CompressedImage``, JPEG of ``quality`` 1..100.

    ``format`` is spelled as image_transport does since Jazzy, which Humble's readers understand
    too.
    """
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ImageFormatError(f"an image of shape {rgb.shape} cannot be written as jpeg")
    return types("sensor_msgs/msg/CompressedImage")(
        header=header, format="rgb8; jpeg compressed bgr8", data=types.array(data)
    )
