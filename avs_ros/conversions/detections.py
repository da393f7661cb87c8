"""Segmentations -> vision_msgs, and vision_msgs -> detections.

``Detection2D.id`` is the instance's value in the label mask; ``class_id`` is the label's name
(not a number).  ``LabelInfo`` lists the model's vocabulary, number -> name, with 65535 kept free
for "unlabeled" as vision_msgs asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avs_ros.conversions.messages import Message, MessageTypes
from avs_ros.segmentation import Segmentation

_UNLABELED = 65535


@dataclass(frozen=True)
class Detection:
    """One ``vision_msgs/Detection2D``: ``box`` is x0, y0, x1, y1 in pixels; ``index`` may be 0."""

    index: int
    label: str
    score: float
    box: tuple[float, float, float, float]

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box [x, y] in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def area(self) -> float:
        """Box area in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


def make_detections(
    types: MessageTypes, header: Message, segmentation: Segmentation
) -> Message:
    """One ``Detection2D`` per instance -> ``vision_msgs/Detection2DArray``."""
    detection_type = types("vision_msgs/msg/Detection2D")
    result_type = types("vision_msgs/msg/ObjectHypothesisWithPose")
    detections = []
    for instance in segmentation.instances:
        x0, y0, x1, y1 = (float(edge) for edge in instance.box)
        detection = detection_type(header=header, id=str(instance.index))
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x = x1 - x0
        detection.bbox.size_y = y1 - y0
        result = result_type()
        result.hypothesis.class_id = instance.label
        result.hypothesis.score = float(instance.score)
        detection.results = [result]
        detections.append(detection)
    return types("vision_msgs/msg/Detection2DArray")(header=header, detections=detections)


def read_detections(msg: Message) -> list[Detection]:
    """``vision_msgs/Detection2DArray`` -> detections (the best hypothesis of each).

    A detection without hypotheses has label "" and score 0; an ``id`` that is no number is 0.
    """
    found = []
    for detection in msg.detections:
        best = max(
            (result.hypothesis for result in detection.results),
            key=lambda hypothesis: hypothesis.score,
            default=None,
        )
        center, box = detection.bbox.center.position, detection.bbox
        found.append(
            Detection(
                int(detection.id) if str(detection.id).isdecimal() else 0,
                best.class_id if best else "",
                float(best.score) if best else 0.0,
                (
                    center.x - box.size_x / 2, center.y - box.size_y / 2,
                    center.x + box.size_x / 2, center.y + box.size_y / 2,
                ),
            )
        )
    return found


def make_label_info(
    types: MessageTypes, header: Message, labels: Sequence[str], threshold: float
) -> Message:
    """The vocabulary -> ``vision_msgs/LabelInfo`` (``threshold``: the mask's, 0..1)."""
    vision_class = types("vision_msgs/msg/VisionClass")
    return types("vision_msgs/msg/LabelInfo")(
        header=header,
        class_map=[
            vision_class(class_id=index, class_name=name)
            for index, name in enumerate(labels[:_UNLABELED])
        ],
        threshold=float(threshold),
    )
