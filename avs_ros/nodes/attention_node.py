"""Detections and camera_info -> a target for the robot to look at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import String
from vision_msgs.msg import Detection2DArray

from avs_ros.conversions.camera import make_bearing, make_ray, make_ray_pose
from avs_ros.conversions.detections import Detection, read_detections
from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.conversions.topics import DIAGNOSTICS
from avs_ros.nodes.calibration import Calibration
from avs_ros.nodes.declared_parameters import BaseNode, names
from avs_ros.nodes.diagnostics import Listening
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.subscriptions import MessageCounters
from avs_ros.nodes.target_selection import (
    AttentionState,
    RaySmoother,
    SelectionConfig,
    TargetSelector,
    find_again,
)
from avs_ros.nodes.topics import TOPICS
from avs_ros.segmentation import Bytes

_SILENT_STREAM_S = 1.0
_MASKS_KEPT = 4


def middle_of(mask: Bytes) -> tuple[float, float] | None:
    """Pixel [x, y] of ``mask`` (bool ``[H, W]``) nearest to its centroid; None if it is empty."""
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return None
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return float(columns[nearest]) + 0.5, float(rows[nearest]) + 0.5


def selection_config(parameters: Mapping[str, Any]) -> SelectionConfig:
    """The choice that the parameters ask for; raises :class:`ParameterError`."""
    values = {field.name: parameters[field.name] for field in fields(SelectionConfig)}
    return SelectionConfig(**{**values, "label_priority": names(values["label_priority"])})


class AttentionNode(BaseNode):
    """Looks at the sounding object: ``~/target``, ``~/bearing`` and ``~/state`` for each frame."""

    TABLE = "attention_node"

    def _set_up(self) -> None:
        self._selector = TargetSelector(selection_config(self._settings))
        self._smoother = RaySmoother(self._settings["smoothing"])
        self._refused = MessageCounters(self.get_logger())
        self._calibration = Calibration(self._settings, self._refused, self.get_logger())
        self._masks: dict[int, Image] = {}
        self._waiting: Detection2DArray | None = None
        self._mask_seen_s = 0.0
        self._heard_s = time.monotonic()
        self._attention: AttentionState | None = None
        self._looked_at: Detection | None = None
        self._out = {
            name: self.publisher(topic) for name, topic in self.topics.items()
            if topic is not DIAGNOSTICS
        }
        callbacks = {
            "detections": self._on_detections, "camera_info": self._calibration.take,
        }
        if self._settings["use_mask"]:
            callbacks["label_mask"] = self._on_mask
        self._inputs = Listening(
            self, TOPICS[self.TABLE]["subscribes"], self._settings["qos"], self._refused,
            callbacks, lambda: {"camera": self._calibration.describe()},
        )
        self.steady_timer(0.2, self._watch)
        self._enter(AttentionState.NOTHING_SOUNDING)

    def apply_settings(self, values: Mapping[str, Any]) -> None:
        """Choice and smoothing take effect at once."""
        self._selector.config = selection_config(values)
        self._smoother.seconds = values["smoothing"]

    def _on_mask(self, msg: Image) -> None:
        """Keep the newest few; detections of the same frame may be waiting for this one."""
        self._mask_seen_s = time.monotonic()
        self._masks[stamp_to_ns(msg.header.stamp)] = msg
        while len(self._masks) > _MASKS_KEPT:
            del self._masks[next(iter(self._masks))]
        waiting = self._waiting
        if waiting is not None and stamp_to_ns(waiting.header.stamp) in self._masks:
            self._waiting = None
            self._attend(waiting)

    def _on_detections(self, msg: Detection2DArray) -> None:
        """Attend to the frame, once its mask is here too (if masks are coming at all)."""
        self._heard_s = time.monotonic()
        if self._waiting is not None:
            overtaken, self._waiting = self._waiting, None
            self._attend(overtaken)
        masks_come = time.monotonic() - self._mask_seen_s < _SILENT_STREAM_S
        if masks_come and stamp_to_ns(msg.header.stamp) not in self._masks:
            self._waiting = msg
        else:
            self._attend(msg)

    def _attend(self, msg: Detection2DArray) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        state, target = self._selector.update(stamp_ns, read_detections(msg))
        self._enter(state)
        if target is None:
            self._smoother.reset()
            self._looked_at = None
            return
        if not self._calibration.received:
            self.get_logger().warning(
                f"no camera_info on {self.resolve_topic_name('camera_info')}: no ray can be given",
                throttle_duration_sec=10.0,
            )
        camera = self._calibration.model()
        if camera is None:
            return
        point, size = self._aim(target, self._masks.get(stamp_ns))
        before, use_ids = self._looked_at, self._settings["use_ids"]
        if before is None or find_again(before, [target], use_ids) is None:
            self._smoother.reset()
        self._looked_at = target
        ray = self._smoother.smooth(stamp_ns, camera.ray(point, size))
        self._out["~/target"].publish(make_ray(ROS, msg.header, ray))
        self._out["~/ray"].publish(make_ray_pose(ROS, msg.header, ray))
        self._out["~/bearing"].publish(make_bearing(ROS, msg.header, ray))

    def _aim(
        self, target: Detection, mask: Image | None
    ) -> tuple[tuple[float, float], tuple[int, int] | None]:
        """The pixel to look at, and the size of the image it is in (None: the camera's)."""
        if mask is None or not self._settings["use_mask"]:
            return target.center, None
        try:
            labels = read_mask(mask)
        except Exception as error:
            self._refused.refuse(error, "mask")
            return target.center, None
        size = (labels.shape[1], labels.shape[0])
        return middle_of(labels == target.index) or target.center, size

    def _watch(self) -> None:
        """When no detections come at all any more, nothing sounds."""
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._settings["hold"] + _SILENT_STREAM_S:
            self._selector.reset()
            self._enter(AttentionState.NOTHING_SOUNDING)

    def _enter(self, attention: AttentionState) -> None:
        """Latch the state when it changes."""
        if attention is not self._attention:
            self._attention = attention
            self._out["~/state"].publish(String(data=attention.value))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(AttentionNode, args)
