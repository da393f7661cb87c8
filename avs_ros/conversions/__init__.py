"""ROS messages <-> NumPy arrays: the only place that knows message fields.  Pure functions.

Readers take any object with the message's fields (rclpy's, or one read from a bag); writers take
the message classes that they are to make (:class:`MessageTypes`).
"""

from avs_ros.conversions.audio_reading import (
    AUDIO_TYPES,
    AudioFormat,
    read_audio,
    read_audio_info,
)
from avs_ros.conversions.audio_writing import make_audio, make_audio_info
from avs_ros.conversions.camera import (
    CameraModel,
    copy_camera_info,
    make_camera_info,
    read_camera_info,
)
from avs_ros.conversions.detections import (
    Detection,
    make_detections,
    make_label_info,
    read_detections,
)
from avs_ros.conversions.diagnostics import make_diagnostics, make_status
from avs_ros.conversions.geometry import (
    bearing,
    make_bearing,
    make_ray,
    make_ray_pose,
    read_ray,
)
from avs_ros.conversions.header import make_header, ns_to_stamp, stamp_to_ns
from avs_ros.conversions.image_reading import (
    ENCODINGS,
    check_any_image,
    check_image,
    compressed_to_rgb,
    image_to_rgb,
    read_any_image,
    read_mask,
    read_probability,
)
from avs_ros.conversions.image_writing import (
    make_image,
    mask_to_image,
    probability_to_image,
    rgb_to_compressed,
    rgb_to_image,
)
from avs_ros.conversions.malformed import MalformedAudio, MalformedImage, reason_of
from avs_ros.conversions.message_types import Message, MessageTypes

__all__ = [
    "AUDIO_TYPES",
    "ENCODINGS",
    "AudioFormat",
    "CameraModel",
    "Detection",
    "MalformedAudio",
    "MalformedImage",
    "Message",
    "MessageTypes",
    "bearing",
    "check_any_image",
    "check_image",
    "compressed_to_rgb",
    "copy_camera_info",
    "image_to_rgb",
    "make_audio",
    "make_audio_info",
    "make_bearing",
    "make_camera_info",
    "make_detections",
    "make_diagnostics",
    "make_header",
    "make_image",
    "make_label_info",
    "make_ray",
    "make_ray_pose",
    "make_status",
    "mask_to_image",
    "ns_to_stamp",
    "probability_to_image",
    "read_any_image",
    "read_audio",
    "read_audio_info",
    "read_camera_info",
    "read_detections",
    "read_mask",
    "read_probability",
    "read_ray",
    "reason_of",
    "rgb_to_compressed",
    "rgb_to_image",
    "stamp_to_ns",
]
