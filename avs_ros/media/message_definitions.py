"""Definitions of the messages in bags that rosbags' own stores do not have (the package texts).

Fields only, without comments.  Two packages are called ``audio_common_msgs``; their types share
names but not fields, so the second one (mgonzs13/audio_common) is a family of its own.
"""

from __future__ import annotations

MESSAGES: dict[str, str] = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "vision_msgs/msg/BoundingBox2D": (
        "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y"
    ),
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    "vision_msgs/msg/Detection2DArray": (
        "std_msgs/Header header\nvision_msgs/Detection2D[] detections"
    ),
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name",
    "vision_msgs/msg/LabelInfo": (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold"
    ),
    "foxglove_msgs/msg/RawAudio": (
        "builtin_interfaces/Time timestamp\nuint8[] data\nstring format\nuint32 sample_rate\n"
        "uint32 number_of_channels"
    ),
    "audio_common_msgs/msg/AudioData": "uint8[] data",
    "audio_common_msgs/msg/AudioDataStamped": (
        "std_msgs/Header header\naudio_common_msgs/AudioData audio"
    ),
    "audio_common_msgs/msg/AudioInfo": (
        "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\n"
        "string coding_format"
    ),
}

SECOND_AUDIO_FAMILY: dict[str, str] = {
    "audio_common_msgs/msg/AudioData": (
        "float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\n"
        "uint8[] uint8_data"
    ),
    "audio_common_msgs/msg/AudioInfo": "int32 format\nint32 channels\nint32 rate\nint32 chunk",
    "audio_common_msgs/msg/Audio": (
        "audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info"
    ),
    "audio_common_msgs/msg/AudioStamped": (
        "std_msgs/Header header\naudio_common_msgs/Audio audio"
    ),
}
"""mgonzs13/audio_common 4.0; ``AudioStamped`` and ``Audio`` are the names it alone has."""
