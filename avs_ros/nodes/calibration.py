"""The camera's calibration as a node keeps it: read once, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sensor_msgs.msg import CameraInfo

from avs_ros.conversions.camera import CameraModel, read_camera_info
from avs_ros.conversions.messages import reason_of
from avs_ros.errors import AvsError
from avs_ros.nodes.subscriptions import MessageCounters


class _Reading(NamedTuple):
    """What came of one content."""

    content: str
    model: CameraModel | None
    error: AvsError | None


def _content(msg: CameraInfo, rectified: bool) -> str:
    """What the model is made of: all but the header (as text, in which NaN equals NaN)."""
    return repr((
        rectified, msg.width, msg.height, msg.distortion_model, list(msg.d), list(msg.k),
        list(msg.p), msg.binning_x, msg.binning_y, msg.roi,
    ))


class Calibration:
    """Makes a model of ``camera_info``, which comes with each image, when its content changes.

    What gives no model is counted with each message, and said once.
    """

    def __init__(
        self, parameters: Mapping[str, Any], counters: MessageCounters, logger: Any
    ) -> None:
        """``parameters``: those of the node, for ``image_rectified``."""
        self._parameters = parameters
        self._counters = counters
        self._logger = logger
        self._message: CameraInfo | None = None
        self._reading = _Reading("", None, None)

    @property
    def received(self) -> bool:
        """Whether any camera_info has come."""
        return self._message is not None

    def take(self, msg: CameraInfo) -> None:
        """Keep the newest message."""
        self._message = msg
        if (error := self._read().error) is not None:
            self._counters.count(reason_of(error), str(error))

    def model(self) -> CameraModel | None:
        """The model of the newest message; None without a usable one."""
        return self._read().model

    def describe(self) -> str:
        """What is known of the camera, in words."""
        reading = self._read()
        if reading.model is not None:
            return "calibrated, {} x {}".format(*reading.model.size)
        return str(reading.error or "no camera_info yet")

    def _read(self) -> _Reading:
        reading, msg = self._reading, self._message
        if msg is None:
            return reading
        rectified = bool(self._parameters["image_rectified"])
        content = _content(msg, rectified)
        if content != reading.content:
            try:
                reading = _Reading(content, read_camera_info(msg, rectified), None)
            except AvsError as error:
                reading = _Reading(content, None, error)
                self._logger.warning(f"no direction can be given: {error}")
            # Replaced as a whole: the worker's thread reads it too.
            self._reading = reading
        return reading
