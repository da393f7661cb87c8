"""A topic as a fact, and ONE table of those that tell an answer: made by node and `avs run` alike.

A new topic is a new row of :data:`ANSWER_TOPICS`: the node advertises it and publishes it while
somebody listens, ``avs run`` writes it to ``output.mcap``, ``docs/robot/topics.md`` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.camera import CameraModel, make_ray
from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import Message, MessageTypes
from avs_ros.overlay import draw_overlay, instance_colours
from avs_ros.segmentation import Bytes, Segmentation
from avs_ros.streaming.pipeline import processing_ms

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
DETECTIONS = "vision_msgs/msg/Detection2DArray"
POINT = "geometry_msgs/msg/PointStamped"
FLOAT = "std_msgs/msg/Float64"


@dataclass(frozen=True)
class Output:
    """One frame's answer on its way out.

    ``image``: the frame, uint8 ``[H, W, 3]`` RGB; ``header``: the frame's, a message of the types
    that are made.  ``camera``: None where no calibration is known.  ``latency_ms``: age of the
    frame when its answer is published (NaN for files); ``sync_error_ms``: as in
    :class:`~avs_ros.streaming.Pair`; ``jpeg_quality``: 1..100.
    """

    segmentation: Segmentation
    image: Bytes
    header: Message
    camera: CameraModel | None = None
    latency_ms: float = float("nan")
    sync_error_ms: float = float("nan")
    jpeg_quality: int = 80

    @cached_property
    def overlay(self) -> Bytes:
        """The image with masks and names drawn on it: uint8 ``[H, W, 3]`` RGB."""
        return draw_overlay(self.image, self.segmentation)


Make = Callable[[MessageTypes, Output], Message | None]


@dataclass(frozen=True)
class Topic:
    """One topic; ``quality`` is a profile name, ``latched``, or the parameter that chooses it.

    ``make``: answer -> message, or None where there is nothing to tell; called only for a topic
    that is wanted.  ``in_file``: whether ``avs run`` writes it: ``large`` ones only when asked to
    (a minute of them in VGA is a gigabyte), ``never`` what means nothing for a file.
    """

    name: str
    type_name: str
    meaning: str
    quality: str = "reliable"
    depth: int = 1
    make: Make | None = None
    in_file: Literal["always", "large", "never"] = "always"


def colour_mask(segmentation: Segmentation) -> Bytes:
    """Label mask in the overlay's colours: uint8 ``[H, W, 3]`` RGB, black where nothing sounds."""
    table = np.zeros((256, 3), dtype=np.uint8)
    for index, colour in instance_colours(segmentation.instances).items():
        table[index] = colour
    return table[segmentation.label_mask()]


def _attention(types: MessageTypes, answer: Output) -> Message | None:
    """Ray to the attention point; None without a point or a calibrated camera."""
    segmentation = answer.segmentation
    if segmentation.point is None or answer.camera is None:
        return None
    size = (segmentation.width, segmentation.height)
    return make_ray(types, answer.header, answer.camera.ray(segmentation.point, size))


def _image(pixels: Callable[[Output], NDArray[Any]]) -> Make:
    return lambda types, answer: make_image(types, answer.header, pixels(answer))


def _float(value: Callable[[Output], float]) -> Make:
    return lambda types, answer: types(FLOAT)(data=float(value(answer)))


# Made once per model and threshold, not per answer: see make_label_info.
LABEL_INFO = Topic(
    "~/label_info", "vision_msgs/msg/LabelInfo", "The model's labels and the threshold.", "latched"
)
ANSWER_TOPICS = (
    Topic("~/mask", IMAGE, "mono8, 255 where something sounds, at the image's size.",
          make=_image(lambda answer: answer.segmentation.mask())),
    Topic("~/label_mask", IMAGE, "mono8, 0 nothing, i = the detection whose id is i.",
          make=_image(lambda answer: answer.segmentation.label_mask())),
    Topic("~/label_mask_color", IMAGE, "rgb8, the label mask in colours.", in_file="large",
          make=_image(lambda answer: colour_mask(answer.segmentation))),
    Topic("~/probability", IMAGE, "32FC1, 0 to 1.", in_file="large",
          make=_image(lambda answer: answer.segmentation.probability())),
    Topic("~/detections", DETECTIONS, "Box, label (class_id) and score of each instance.",
          depth=10,
          make=lambda types, answer: make_detections(
              types, answer.header, answer.segmentation)),
    LABEL_INFO,
    Topic("~/overlay", IMAGE, "rgb8, the image with masks and names drawn on it.",
          in_file="large", make=_image(lambda answer: answer.overlay)),
    Topic("~/overlay/compressed", COMPRESSED, "The overlay as JPEG.",
          make=lambda types, answer: rgb_to_compressed(
              types, answer.header, answer.overlay, answer.jpeg_quality)),
    Topic("~/attention", POINT, "Ray to the strongest instance, optical frame; needs camera_info.",
          depth=10, make=_attention),
    Topic("~/debug/latency_ms", FLOAT, "Age of the frame when its answer is published.",
          depth=10, in_file="never", make=_float(lambda answer: answer.latency_ms)),
    Topic("~/debug/processing_ms", FLOAT, "Time spent on the frame.", depth=10,
          make=_float(lambda answer: processing_ms(answer.segmentation))),
    Topic("~/debug/sync_error_ms", FLOAT,
          "How far the sound ended before the frame's window did.", depth=10,
          make=_float(lambda answer: answer.sync_error_ms)),
)
DIAGNOSTICS = Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray",
                    "State, rates, drops and errors of the node.")


def messages(
    types: MessageTypes, answer: Output, wanted: Callable[[Topic], object]
) -> Iterator[tuple[Topic, Message]]:
    """What ``answer`` tells on each topic that is ``wanted``; nothing else is made."""
    for topic in ANSWER_TOPICS:
        if topic.make is not None and wanted(topic):
            message = topic.make(types, answer)
            if message is not None:
                yield topic, message
