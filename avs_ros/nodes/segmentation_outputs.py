"""What the segmentation node publishes, each with the header of its frame, only if wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.errors import AvsError
from avs_ros.media.colours import instance_colours
from avs_ros.media.overlay import draw_overlay
from avs_ros.messages import (
    CameraModel,
    Message,
    make_detections,
    make_header,
    make_label_info,
    make_ray,
    mask_to_image,
    probability_to_image,
    read_camera_info,
    rgb_to_compressed,
    rgb_to_image,
)
from avs_ros.middleware import get_message
from avs_ros.nodes import quality_of_service
from avs_ros.nodes.topics import SEGMENTATION_OUTPUTS
from avs_ros.segmentation import Bytes, Segmentation


@dataclass(frozen=True)
class Answer:
    """One answer on its way out: ``frame`` uint8 ``[H, W, 3]`` RGB; times in milliseconds."""

    segmentation: Segmentation
    frame: Bytes
    header: Message
    camera_info: Message | None
    latency_ms: float
    processing_ms: float
    sync_error_ms: float


def colour_mask(segmentation: Segmentation) -> Bytes:
    """Label mask in the overlay's colours: uint8 ``[H, W, 3]`` RGB, black where nothing sounds."""
    table = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in instance_colours(segmentation.instances).items():
        table[index] = colour
    return table[segmentation.label_mask()]


class SegmentationOutputs:
    """The publishers of the segmentation node; made by configure, destroyed by cleanup."""

    def __init__(
        self, node: Any, parameters: Mapping[str, Any], labels: Sequence[str]
    ) -> None:
        """Create every publisher of ``SEGMENTATION_OUTPUTS`` on the lifecycle ``node``."""
        self._node = node
        self._parameters = parameters
        self._labels = labels
        self._camera: tuple[Message, bool, CameraModel] | None = None
        self._publishers = {
            topic.name.removeprefix("~/"): node.create_lifecycle_publisher(
                get_message(topic.type_name), topic.name, topic.qos(),
                qos_overriding_options=quality_of_service.overridable(),
            )
            for topic in SEGMENTATION_OUTPUTS
        }

    def destroy(self) -> None:
        """Take every publisher off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def publish_label_info(self, threshold: float, stamp_ns: int) -> None:
        """Latch the vocabulary and the threshold in use."""
        message = make_label_info(make_header(stamp_ns), self._labels, threshold)
        self._publishers["label_info"].publish(message)

    def publish(self, answer: Answer) -> None:
        """Publish everything that somebody listens to; nothing else is computed."""
        segmentation, header = answer.segmentation, answer.header
        float64 = get_message("std_msgs/msg/Float64")
        self._send("mask", lambda: mask_to_image(header, segmentation.mask()))
        self._send("label_mask", lambda: mask_to_image(header, segmentation.label_mask()))
        self._send("label_mask_color", lambda: rgb_to_image(header, colour_mask(segmentation)))
        self._send("probability", lambda: probability_to_image(header, segmentation.probability()))
        self._send("detections", lambda: make_detections(header, segmentation))
        self._send("attention", lambda: self._attention(answer))
        self._send("debug/latency_ms", lambda: float64(data=answer.latency_ms))
        self._send("debug/processing_ms", lambda: float64(data=answer.processing_ms))
        self._send("debug/sync_error_ms", lambda: float64(data=answer.sync_error_ms))
        if self._wanted("overlay") or self._wanted("overlay/compressed"):
            overlay = draw_overlay(answer.frame, segmentation)
            self._send("overlay", lambda: rgb_to_image(header, overlay))
            quality = int(self._parameters["jpeg_quality"])
            self._send(
                "overlay/compressed", lambda: rgb_to_compressed(header, overlay, "jpeg", quality)
            )

    def _wanted(self, name: str) -> bool:
        return bool(self._publishers[name].get_subscription_count())

    def _send(self, name: str, make: Callable[[], Message | None]) -> None:
        if not self._wanted(name):
            return
        message = make()
        if message is not None:
            self._publishers[name].publish(message)

    def _attention(self, answer: Answer) -> Message | None:
        """Ray to the attention point; None without a point or a calibrated camera."""
        point, info = answer.segmentation.point, answer.camera_info
        if point is None or info is None:
            return None
        camera = self._camera_model(info)
        if camera is None:
            return None
        size = (answer.segmentation.width, answer.segmentation.height)
        return make_ray(answer.header, camera.ray(point, size))

    def _camera_model(self, info: Message) -> CameraModel | None:
        """Model of the newest camera_info, made once per message."""
        rectified = bool(self._parameters["image_rectified"])
        known = self._camera
        if known is None or known[0] is not info or known[1] != rectified:
            try:
                known = (info, rectified, read_camera_info(info, rectified))
                self._camera = known
            except AvsError as error:
                self._node.get_logger().warning(
                    f"no attention ray: {error}", throttle_duration_sec=10.0
                )
                return None
        return known[2]
