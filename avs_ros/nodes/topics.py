"""ONE table of topics per node: name, type, quality of service, meaning.

Publishers are made from it, and the documents' table (``python tools/document_tables.py``).
Those that tell the segmentation node's answers are rows of :mod:`avs_ros.conversions.topics`.
Beside it: names of topics beside others, and quality of service by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from avs_ros.conversions.audio import AUDIO_INFO
from avs_ros.conversions.camera import CAMERA_INFO
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
from avs_ros.errors import ParameterError


def transport_topic(node: Any, base: str, transport: str) -> str:
    """``<base>/<transport>`` of the *remapped* base, as image_transport resolves it.

    A remap rule for `image` does not touch `image/compressed` by itself.
    """
    return f"{node.resolve_topic_name(base)}/{transport}"


def sibling_topic(node: Any, name: str, base: str) -> str:
    """``name`` next to the remapped ``base`` (`/camera/image` -> `/camera/camera_info`).

    A remap rule for ``name`` itself comes first.
    """
    remapped = str(node.resolve_topic_name(name))
    if remapped != node.resolve_topic_name(name, only_expand=True):
        return remapped
    if node.resolve_topic_name(base) == node.resolve_topic_name(base, only_expand=True):
        return remapped
    beside = str(node.resolve_topic_name(base)).removesuffix("/compressed")
    return f"{beside.rpartition('/')[0]}/{name}"


def published_types(node: Any, topic: str) -> list[str]:
    """Message types that somebody publishes on ``topic`` (full names), most publishers first."""
    found: dict[str, int] = {}
    for info in node.get_publishers_info_by_topic(topic):
        found[info.topic_type] = found.get(info.topic_type, 0) + 1
    return sorted(found, key=lambda name: -found[name])


_RELIABILITY = {
    "sensor_data": ReliabilityPolicy.BEST_EFFORT,
    "reliable": ReliabilityPolicy.RELIABLE,
    "system_default": ReliabilityPolicy.SYSTEM_DEFAULT,
}


def qos_profile(name: str, depth: int) -> QoSProfile:
    """A fresh profile (rclpy writes overrides into it) by its parameter value.

    ``sensor_data``: best effort, volatile; ``reliable``: reliable, volatile; ``system_default``:
    whatever the RMW is configured to do.  All keep the last ``depth`` samples.
    """
    if name not in _RELIABILITY:
        raise ParameterError(f"quality of service {name!r}: expected {', '.join(_RELIABILITY)}")
    durability = (
        DurabilityPolicy.SYSTEM_DEFAULT if name == "system_default" else DurabilityPolicy.VOLATILE
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=_RELIABILITY[name],
        durability=durability,
    )


def qos_latched() -> QoSProfile:
    """Reliable, transient local, depth 1: the last sample reaches late joiners."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def qos_overridable() -> QoSOverridingOptions:
    """Let users set ``qos_overrides.<topic>.publisher.…`` for history, depth, reliability."""
    return QoSOverridingOptions.with_default_policies()


def qos_overrides(node: Node, topic: str) -> dict[str, Any]:
    """What the user says in ``qos_overrides.<topic>.subscription.…``: policy -> its value.

    rclpy's own overriding options declare the first profile's values as parameters, so that they
    would override every later profile of the same topic too: a subscription that follows its
    publishers needs what the *user* said.  Raises :class:`ParameterError` for a value that is
    none.
    """
    found: dict[str, Any] = {}
    for policy, choices in (
        ("reliability", ReliabilityPolicy.__members__), ("history", HistoryPolicy.__members__),
        ("depth", None),
    ):
        name = f"qos_overrides.{topic}.subscription.{policy}"
        kind = Parameter.Type.STRING if choices else Parameter.Type.INTEGER
        given = _user_value(node, name, kind)
        if given is None:
            continue
        value = choices.get(given.upper()) if choices else given
        if value is None or (policy == "depth" and given < 1):
            raise ParameterError(f"parameter {name} is {given!r}: no such {policy}")
        found[policy] = value
    return found


def _user_value(node: Node, name: str, kind: Parameter.Type) -> Any:
    """The value that the user gave to ``name``; None, and no such parameter, without one."""
    if not node.has_parameter(name):
        try:
            given = node.declare_parameter(name, kind).value
        except InvalidParameterTypeException as error:
            raise ParameterError(str(error)) from error
        if given is None:
            node.undeclare_parameter(name)
            return None
    return node.get_parameter(name).value


_AUDIO = "AudioDataStamped, AudioStamped, RawAudio or AudioData"


def qos_of(topic: Topic) -> Any:
    """A fresh ``QoSProfile`` for a publisher of ``topic``."""
    if topic.quality == "latched":
        return qos_latched()
    return qos_profile(topic.quality, topic.depth)


SEGMENTATION_INPUTS = (
    Topic("image", IMAGE,
          "Images: colour, mono, Bayer (8 or 16 bits), YUV 4:2:2, NV12, NV21, NV24.", "image_qos"),
    Topic("image/compressed", COMPRESSED, "The same as JPEG or PNG.", "image_qos"),
    Topic("audio", _AUDIO, "Sound; the stamp is the time of the first sample.", "audio_qos", 50),
    Topic("audio_info", AUDIO_INFO,
          "Rate, channels and format for AudioDataStamped and AudioData.", "auto"),
    Topic("camera_info", CAMERA_INFO, "Calibration, next to `image`; needed for `~/attention`.",
          "auto"),
)
PLAYER_OUTPUTS = (
    Topic("image", IMAGE, "rgb8 images (image_type).", "qos"),
    Topic("image/compressed", COMPRESSED, "JPEG images (image_type).", "qos"),
    Topic("camera_info", CAMERA_INFO, "An ideal camera, or the bag's.", "qos"),
    Topic("audio", _AUDIO, "Sound (audio_type).", "qos", 50),
    Topic("audio_info", AUDIO_INFO,
          "With AudioDataStamped and AudioData, every second.", "qos"),
    Topic("/clock", "rosgraph_msgs/msg/Clock", "Time of the playback."),
)

MICROPHONE_OUTPUTS = (
    Topic("audio", _AUDIO, "Sound (audio_type).", "qos", 50),
    Topic("audio_info", AUDIO_INFO,
          "With AudioDataStamped and AudioData.", "latched"),
)

ATTENTION_INPUTS = (
    Topic("detections", DETECTIONS, "The sounding object.", "qos"),
    Topic("label_mask", IMAGE, "Optional: aim at the instance, not the box (use_mask).", "qos"),
    Topic("camera_info", CAMERA_INFO, "Calibration of the camera.", "qos"),
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
