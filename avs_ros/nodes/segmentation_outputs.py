"""What the segmentation node publishes, each with the header of its frame, only if wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avs_ros.conversions.detections import make_label_info
from avs_ros.conversions.messages import make_header
from avs_ros.conversions.topics import ANSWER_TOPICS, LABEL_INFO, Output, Topic, messages
from avs_ros.nodes.calibration import Calibration
from avs_ros.nodes.message_types import ROS
from avs_ros.segmentation import Segmentation
from avs_ros.streaming.inputs import Pair

if TYPE_CHECKING:
    from avs_ros.nodes.segmentation_node import SegmentationNode


class SegmentationOutputs:
    """The publishers of the segmentation node; made by configure, destroyed by cleanup."""

    def __init__(
        self, node: SegmentationNode, parameters: Mapping[str, Any], labels: Sequence[str]
    ) -> None:
        """Create a publisher for every row of ``ANSWER_TOPICS`` on the lifecycle ``node``."""
        self._node = node
        self._parameters = parameters
        self._labels = labels
        self._publishers = {
            topic.name: node.create_lifecycle_publisher(
                ROS(topic.type_name), topic.name, **node.topic_options(topic)
            )
            for topic in ANSWER_TOPICS
        }

    def destroy(self) -> None:
        """Take every publisher off the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def publish_label_info(self, threshold: float, stamp_ns: int) -> None:
        """Latch the vocabulary and the threshold in use."""
        message = make_label_info(ROS, make_header(ROS, stamp_ns), self._labels, threshold)
        self._publishers[LABEL_INFO.name].publish(message)

    def publish(
        self, segmentation: Segmentation, pair: Pair, calibration: Calibration, latency_ms: float
    ) -> None:
        """Publish everything that somebody listens to; nothing else is computed."""
        answer = Output(
            segmentation, pair.image, make_header(ROS, pair.stamp_ns, pair.frame.frame_id),
            calibration.model(), latency_ms, pair.sync_error_ms,
            int(self._parameters["jpeg_quality"]),
        )
        for topic, message in messages(ROS, answer, self._is_heard):
            self._publishers[topic.name].publish(message)

    def _is_heard(self, topic: Topic) -> bool:
        return bool(self._publishers[topic.name].get_subscription_count())
