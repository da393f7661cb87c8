"""An attention node, and the detections, masks and calibration that it looks by."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from node_graph import BASE_NS, NodeGraph

from avs_ros.conversions.camera import make_camera_info, read_ray
from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.message_types import ROS
from avs_ros.segmentation import Instance, Segmentation

NODE = "/attention_node"
# Right of the middle and small; left of it, large, and not as sure.
DRUM = Instance(1, "drum", 0.9, (400.0, 100.0, 500.0, 200.0), 100)
CAT = Instance(2, "cat", 0.5, (0.0, 0.0, 300.0, 300.0), 100)
AGAIN_S = 0.2
# No frame is lost, however many come at once.
QUEUE = {"qos_overrides./detections.subscription.depth": 20}


def camera_info() -> Any:
    """A camera of 640 x 480 pixels; rectified, it has another focal length than its lens."""
    info = make_camera_info(ROS, make_header(ROS, 1, "camera_optical_frame"), 640, 480, 1.2)
    info.p = [250.0, 0.0, 320.0, 0.0, 0.0, 250.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


class AttentionScene:
    """A node with a camera, shown frames that are ``step_s`` apart in the recording's time."""

    def __init__(
        self, graph: NodeGraph, parameters: dict[str, Any], step_s: float = 0.1
    ) -> None:
        self.graph, self.info, self.step_ns = graph, camera_info(), round(step_s * 1e9)
        self.now_ns = BASE_NS
        self.targets = graph.listen("geometry_msgs/msg/PointStamped", f"{NODE}/target")
        self.states = graph.listen("std_msgs/msg/String", f"{NODE}/state", 20, latched=True)
        graph.add(AttentionNode, parameters={**QUEUE, **parameters})
        self.detections = graph.publisher("vision_msgs/msg/Detection2DArray", "detections")
        self.camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
        self.masks = graph.publisher("sensor_msgs/msg/Image", "label_mask")
        wanted = [self.detections, self.camera]
        if parameters.get("use_mask", True):
            wanted.append(self.masks)
        for publisher in wanted:
            graph.wait(publisher.get_subscription_count, "the node's subscription")

    def frame(
        self, *instances: Instance, mask: np.ndarray | None = None, calibrated: bool = True
    ) -> int:
        """The next frame's detections (and its label mask); its stamp."""
        self.now_ns += self.step_ns
        self._publish(instances, mask, calibrated)
        return self.now_ns

    def ray(
        self, *instances: Instance, mask: np.ndarray | None = None
    ) -> tuple[float, float, float]:
        """Where it looks in the next frame.

        The frame is sent again under its stamp until it looks: camera_info may be overtaken.
        """
        stamp_ns = self.frame(*instances, mask=mask)
        sent_s = [time.monotonic()]

        def looks() -> Any:
            if time.monotonic() > sent_s[0] + AGAIN_S:
                sent_s[0] = time.monotonic()
                self._publish(instances, mask, True)
            return self.looked_at(stamp_ns)

        return read_ray(self.graph.wait(looks, "a target"))

    def looked_at(self, stamp_ns: int) -> Any:
        """The target of the frame with this stamp; None if there is none (yet)."""
        return next(
            (one for one in self.targets if stamp_to_ns(one.header.stamp) == stamp_ns), None)

    def state(self, wanted: str) -> None:
        """Wait until it is in this state."""
        self.graph.wait(lambda: self.states and self.states[-1].data == wanted, wanted)

    def _publish(
        self, instances: tuple[Instance, ...], mask: np.ndarray | None, calibrated: bool
    ) -> None:
        header = make_header(ROS, self.now_ns, "camera_optical_frame")
        nothing = np.zeros((4, 4), np.uint8)
        found = Segmentation(1, 640, 480, True, 0.5, "", "", 0.0, instances, None, 0.0,
                             nothing.astype(np.float32), nothing)
        if calibrated:
            self.camera.publish(self.info)
        if mask is not None:
            self.masks.publish(make_image(ROS, header, mask))
        self.detections.publish(make_detections(ROS, header, found))
