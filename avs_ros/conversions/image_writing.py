"""Arrays -> ``sensor_msgs/Image`` and ``CompressedImage``."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.messages import Message, MessageTypes
from avs_ros.errors import ImageFormatError
from avs_ros.segmentation import Bytes, Float

_WRITABLE = {"mono8": (np.uint8, 1), "rgb8": (np.uint8, 3), "bgr8": (np.uint8, 3),
             "32FC1": (np.float32, 1)}


def make_image(
    types: MessageTypes, header: Message, pixels: NDArray[Any], encoding: str
) -> Message:
    """``pixels`` ``[H, W]`` or ``[H, W, 3]`` -> ``sensor_msgs/Image`` with this ``header``.

    ``encoding``: ``mono8``, ``rgb8``, ``bgr8`` (uint8) or ``32FC1`` (float32).  Raises
    :class:`ImageFormatError` when array and encoding do not fit.
    """
    if encoding not in _WRITABLE:
        raise ImageFormatError(f"encoding {encoding!r}: can write {', '.join(_WRITABLE)}")
    dtype, channels = _WRITABLE[encoding]
    found = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.dtype != dtype or found != channels or pixels.ndim > 3:
        raise ImageFormatError(
            f"{encoding} needs {np.dtype(dtype)} with {channels} channels, got {pixels.dtype} "
            f"of shape {pixels.shape}"
        )
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return types("sensor_msgs/msg/Image")(
        header=header, height=height, width=width, encoding=encoding, is_bigendian=0,
        step=width * channels * pixels.itemsize, data=types.array(pixels.view(np.uint8)),
    )


def rgb_to_image(types: MessageTypes, header: Message, rgb: Bytes) -> Message:
    """uint8 ``[H, W, 3]`` RGB -> ``sensor_msgs/Image`` rgb8."""
    return make_image(types, header, rgb, "rgb8")


def mask_to_image(types: MessageTypes, header: Message, mask: Bytes) -> Message:
    """uint8 ``[H, W]`` (0|255, or instance indices) -> ``sensor_msgs/Image`` mono8."""
    return make_image(types, header, mask, "mono8")


def probability_to_image(types: MessageTypes, header: Message, probability: Float) -> Message:
    """float32 ``[H, W]``, 0..1 -> ``sensor_msgs/Image`` 32FC1."""
    return make_image(types, header, probability, "32FC1")


def rgb_to_compressed(
    types: MessageTypes, header: Message, rgb: Bytes, codec: str = "jpeg", quality: int = 80
) -> Message:
    """uint8 ``[H, W, 3]`` RGB -> ``sensor_msgs/CompressedImage``.

    ``codec``: ``jpeg`` (``quality`` 1..100) or ``png``; ``format`` is spelled as image_transport
    does since Jazzy, which Humble's readers understand too.
    """
    if codec not in ("jpeg", "png"):
        raise ImageFormatError(f"codec {codec!r}: can write jpeg and png")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if codec == "jpeg" else []
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg" if codec == "jpeg" else ".png", bgr, options)
    if not done:
        raise ImageFormatError(f"an image of shape {rgb.shape} cannot be written as {codec}")
    return types("sensor_msgs/msg/CompressedImage")(
        header=header, format=f"rgb8; {codec} compressed bgr8", data=types.array(data)
    )
