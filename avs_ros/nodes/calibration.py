"""The camera's calibration as a node keeps it: read once, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensor_msgs.msg import CameraInfo

from avs_ros.conversions.camera import CameraModel, read_camera_info
from avs_ros.conversions.messages import reason_of
from avs_ros.errors import AvsError
from avs_ros.nodes.subscriptions import MessageCounters


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
        # What came of one content (as text, in which NaN equals NaN).
        self._reading: tuple[str, CameraModel | AvsError | None] = "", None

    @property
    def received(self) -> bool:
        """Whether any camera_info has come."""
        return self._message is not None

    def take(self, msg: CameraInfo) -> None:
        """Keep the newest message."""
        self._message = msg
        if isinstance(error := self._read(), AvsError):
            self._counters.count(reason_of(error), str(error))

    def model(self) -> CameraModel | None:
        """The model of the newest message; None without a usable one."""
        found = self._read()
        return found if isinstance(found, CameraModel) else None

    def describe(self) -> str:
        """What is known of the camera, in words."""
        found = self._read()
        if isinstance(found, CameraModel):
            return "calibrated, {} x {}".format(*found.size)
        return str(found or "no camera_info yet")

    def _read(self) -> CameraModel | AvsError | None:
        (known, found), msg = self._reading, self._message
        if msg is None:
            return None
        rectified = bool(self._parameters["image_rectified"])
        content = repr((  # all but the header
            rectified, msg.width, msg.height, msg.distortion_model, list(msg.d), list(msg.k),
            list(msg.p), msg.binning_x, msg.binning_y, msg.roi,
        ))
        if content != known:
            try:
                found = read_camera_info(msg, rectified)
            except AvsError as error:
                found = error
                self._logger.warning(f"no direction can be given: {error}")
            # Replaced as a whole: the worker's thread reads it too.
            self._reading = content, found
        return found
