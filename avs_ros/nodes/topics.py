"""ONE table of topics per node: name, type, quality of service, meaning.

Publishers are made from it, and the documents' table (``python tools/document_tables.py``).

Those that tell the segmentation node's answers are rows of :mod:`avs_ros.conversions.topics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avs_ros.conversions.topics import (
    ANSWER_TOPICS,
    COMPRESSED,
    DETECTIONS,
    DIAGNOSTICS,
    FLOAT,
    IMAGE,
    POINT,
    Topic,
)
from avs_ros.nodes import quality_of_service

_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_AUDIO = "AudioDataStamped, AudioStamped, RawAudio or AudioData"


def qos_of(topic: Topic) -> Any:
    """A fresh ``QoSProfile`` for a publisher of ``topic``."""
    if topic.quality == "latched":
        return quality_of_service.latched()
    return quality_of_service.profile(topic.quality, topic.depth)


SEGMENTATION_INPUTS = (
    Topic("image", IMAGE,
          "Images: colour, mono, Bayer (8 or 16 bits), YUV 4:2:2, NV12, NV21, NV24.", "image_qos"),
    Topic("image/compressed", COMPRESSED, "The same as JPEG or PNG.", "image_qos"),
    Topic("audio", _AUDIO, "Sound; the stamp is the time of the first sample.", "audio_qos", 50),
    Topic("audio_info", "audio_common_msgs/msg/AudioInfo",
          "Rate, channels and format for AudioDataStamped and AudioData.", "auto"),
    Topic("camera_info", _CAMERA_INFO, "Calibration, next to `image`; needed for `~/attention`.",
          "auto"),
)
PLAYER_OUTPUTS = (
    Topic("image", IMAGE, "rgb8 images (image_type).", "qos"),
    Topic("image/compressed", COMPRESSED, "JPEG images (image_type).", "qos"),
    Topic("camera_info", _CAMERA_INFO, "An ideal camera, or the bag's.", "qos"),
    Topic("audio", _AUDIO, "Sound (audio_type).", "qos", 50),
    Topic("audio_info", "audio_common_msgs/msg/AudioInfo",
          "With AudioDataStamped and AudioData, every second.", "qos"),
    Topic("/clock", "rosgraph_msgs/msg/Clock", "Time of the playback."),
)

MICROPHONE_OUTPUTS = (
    Topic("audio", _AUDIO, "Sound (audio_type).", "qos", 50),
    Topic("audio_info", "audio_common_msgs/msg/AudioInfo",
          "With AudioDataStamped and AudioData.", "latched"),
)

ATTENTION_INPUTS = (
    Topic("detections", DETECTIONS, "The sounding object.", "qos"),
    Topic("label_mask", IMAGE, "Optional: aim at the instance, not the box (use_mask).", "qos"),
    Topic("camera_info", _CAMERA_INFO, "Calibration of the camera.", "qos"),
)
ATTENTION_OUTPUTS = (
    Topic("~/target", POINT, "Unit ray in the camera's optical frame.", depth=10),
    Topic("~/ray", "geometry_msgs/msg/PoseStamped",
          "The same as an arrow for RViz and Foxglove (x axis along the ray).", depth=10),
    Topic("~/bearing", "geometry_msgs/msg/Vector3Stamped",
          "x azimuth (left +), y elevation (up +), rad, optical frame's axes.", depth=10),
    Topic("~/state", "std_msgs/msg/String",
          "nothing_sounding, acquiring, looking or holding.", "latched"),
)

EVALUATOR_INPUTS = (
    Topic("mask", IMAGE, "Answers: `segmentation_node/mask`.", "qos", 50),
    Topic("probability", IMAGE, "Answers: `segmentation_node/probability` (use_probability).",
          "qos", 50),
    Topic("detections", DETECTIONS, "Answers: `segmentation_node/detections`.", "qos", 50),
    Topic("ground_truth/mask", IMAGE, "Truth: mono8, above 0 where something sounds.", "qos", 50),
    Topic("ground_truth/detections", DETECTIONS,
          "Truth: names of the sounding object; its boxes, where there are no masks.", "qos", 50),
)
EVALUATOR_OUTPUTS = (
    Topic("~/iou", FLOAT, "Mean frame IoU so far.", depth=10),
)

TOPICS: Mapping[str, Mapping[str, tuple[Topic, ...]]] = {
    "segmentation_node": {
        "subscribes": SEGMENTATION_INPUTS, "publishes": (*ANSWER_TOPICS, DIAGNOSTICS),
    },
    "player_node": {"publishes": PLAYER_OUTPUTS},
    "attention_node": {
        "subscribes": ATTENTION_INPUTS, "publishes": (*ATTENTION_OUTPUTS, DIAGNOSTICS),
    },
    "microphone_node": {"publishes": (*MICROPHONE_OUTPUTS, DIAGNOSTICS)},
    "evaluator_node": {
        "subscribes": EVALUATOR_INPUTS, "publishes": (*EVALUATOR_OUTPUTS, DIAGNOSTICS),
    },
}
