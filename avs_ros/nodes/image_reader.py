"""Image messages -> pixels: our own reader first, then cv_bridge for other encodings."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import Any

import numpy as np

from avs_ros.conversions.image_reading import check_any_image, read_any_image
from avs_ros.conversions.messages import MalformedImage, Message
from avs_ros.segmentation import Bytes

# Depth is no colour image, whoever reads it.
_DEPTH = ("16UC1", "32FC1")


class ImageReader:
    """Reads ``sensor_msgs/Image`` and ``CompressedImage``; any thread may call it.

    Ours comes first since cv_bridge of apt does not import beside NumPy 2.
    """

    def __init__(self, logger: Any) -> None:
        """Say on ``logger`` which encodings cv_bridge reads."""
        self._logger = logger
        self._told: set[str] = set()

    @cached_property
    def _bridge(self) -> Any:
        """A ``CvBridge``, None where it does not import."""
        try:
            return importlib.import_module("cv_bridge").CvBridge()
        except Exception:  # absent, or built for another NumPy: an AttributeError as well
            return None

    def check(self, msg: Message) -> None:
        """Check ``msg`` without reading its pixels; raises :class:`MalformedImage`."""
        try:
            check_any_image(msg)
        except MalformedImage as error:
            if not self._for_cv_bridge(msg, error):
                raise

    def read(self, msg: Message) -> Bytes:
        """uint8 ``[H, W, 3]`` RGB; raises :class:`MalformedImage`."""
        try:
            return read_any_image(msg)
        except MalformedImage as error:
            if not self._for_cv_bridge(msg, error):
                raise
        try:
            rgb = np.asarray(self._bridge.imgmsg_to_cv2(msg, desired_encoding="rgb8"))
        except Exception as error:  # CvBridgeError, and what OpenCV raises under it
            raise MalformedImage(
                "image_encoding", f"encoding {msg.encoding!r}: cv_bridge says {error}"
            ) from error
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise MalformedImage(
                "image_encoding",
                f"encoding {msg.encoding!r}: cv_bridge gives {rgb.dtype} {list(rgb.shape)}",
            )
        return rgb

    def _for_cv_bridge(self, msg: Message, error: MalformedImage) -> bool:
        if error.reason != "image_encoding" or msg.encoding in _DEPTH:
            return False
        if self._bridge is not None and msg.encoding not in self._told:
            self._told.add(msg.encoding)
            self._logger.info(f"encoding {msg.encoding!r} is read by cv_bridge")
        return self._bridge is not None
