"""Every parameter of the segmentation node changes its answers, or what it says of itself.

``MOVES`` holds a scenario for each parameter; a parameter without one fails.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from audio_families import need
from cat_scenes import meow, scene_end, two_cats
from graded_segmenter import GradedSegmenter
from kept_segmenter import KEPT, KeptLight
from node_graph import BASE_NS, TIMEOUT_S, NodeGraph, Recording, lamp, tone
from parameter_moves import Move, Moves, Observe, check_effect, check_names, check_steady, waited

from avs_ros.conversions.camera import make_camera_info, read_ray
from avs_ros.conversions.detections import read_detections
from avs_ros.conversions.image_writing import rgb_to_compressed
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.parameters import TABLES
from avs_ros.nodes.segmentation_node import SegmentationNode

# One worker has the shipped model, and what is seen by default.
pytestmark = KEPT
NODE = "/segmentation_node"
RATE = 16000
SOME = 5  # pages of diagnostics, 0.1 s each
# Loud, then ever softer, then silent: each threshold is crossed somewhere.
FADE = np.concatenate([tone(2.0) * np.repeat([3.0, 2.0, 1.0, 0.3], RATE // 2),
                       np.zeros(RATE)]).astype(np.float32)
IMAGE = np.where(lamp() > 0, 230, 30).astype(np.uint8)  # in a room that is not quite dark


class Stream:
    """A node with a camera and a microphone, fed one frame at a time in the recording's time."""

    def __init__(self, graph: NodeGraph, parameters: dict[str, Any], segmenter: Any = None,
                 **recording: Any) -> None:
        self.graph, self.asked = graph, {}  # type: ignore[var-annotated]
        made = segmenter or GradedSegmenter()

        def create(asked: Any) -> Any:
            self.asked = {name: asked[name] for name in ("model", "engine", "device")}
            return made

        self.detections = graph.listen("vision_msgs/msg/Detection2DArray", f"{NODE}/detections")
        self.rays = graph.listen("geometry_msgs/msg/PointStamped", f"{NODE}/attention")
        self.overlays = graph.listen(
            "sensor_msgs/msg/CompressedImage", f"{NODE}/overlay/compressed")
        self.pages = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
        self.node = graph.add(
            SegmentationNode, create_segmenter=create,
            parameters={"diagnostics_period": 0.1, **parameters})
        self.recording = Recording(graph, **recording)
        self.camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")

    def ready(self) -> Stream:
        self.recording.wait_for_node()
        self.graph.wait(self.camera.get_subscription_count, "a subscription to camera_info")
        return self

    def calibrate(self) -> None:
        info = make_camera_info(ROS, make_header(ROS, BASE_NS, "camera"), 64, 48, 1.0)
        # Rectified images have another focal length than those that the lens makes.
        info.p = [20.0, 0.0, 32.0, 0.0, 0.0, 20.0, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        self.camera.publish(info)

    def frame(self, at_s: float, image: np.ndarray | None = None) -> None:
        """Send a frame and wait for its answer."""
        stamp_ns = self.recording.frame(at_s, image)
        self.graph.wait(
            lambda: any(stamp_to_ns(one.header.stamp) == stamp_ns for one in self.detections),
            "an answer")

    def answered_soon(self, late: bool) -> bool:
        """Whether a frame is answered before the page of diagnostics has come several times.

        Where it need not be ``late``, the answer is waited for.
        """
        pages = len(self.pages)
        self.graph.wait(
            lambda: self.detections or (late and len(self.pages) > pages + SOME), "an answer")
        return bool(self.detections)

    def said(self, key: str) -> str:
        """The newest value of ``key`` on /diagnostics."""
        values = {pair.key: pair.value for page in list(self.pages) for status in page.status
                  for pair in status.values}
        return values.get(key, "")

    def answers(self) -> Any:
        return [
            [(one.label, one.box, round(one.score, 3)) for one in read_detections(message)]
            for message in self.detections
        ]


def fading(graph: NodeGraph, parameters: dict[str, Any], level: float = 1.0) -> Any:
    """What is marked while the sound fades."""
    stream = Stream(graph, parameters).ready()
    stream.recording.sound(0.0, 3.0, np.float32(level) * FADE)
    for number in range(19):
        stream.frame(0.9 + number * 0.1, IMAGE)
    return stream.answers()


def faint(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    return fading(graph, {"sounding_threshold": 0.0, "threshold": 0.4, **parameters}, 1e-4)


def real(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """What the shipped model marks in the demo's scene."""
    image, track = scene_end()
    stream = Stream(graph, parameters, KeptLight()).ready()
    stream.recording.sound(0.0, len(track) / RATE, track)
    for number in range(13):
        stream.frame(0.95 + number * 0.2, image)
    return stream.answers()


def both_cats(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """What the shipped model marks of two cats of which one moves."""
    stream = Stream(graph, parameters, KeptLight()).ready()
    stream.recording.sound(0.0, 3.0, np.tile(meow(), 3))
    for number in range(8):
        stream.frame(0.95 + number * 0.2, two_cats(number))
    return stream.answers()


def asked(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    return Stream(graph, parameters).ready().asked


def active(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether it has begun to listen by itself."""
    stream = Stream(graph, parameters)
    subscribed = stream.recording.images.get_subscription_count
    stays = not parameters.get("autostart", True)
    graph.wait(lambda: subscribed() or (stays and len(stream.pages) > SOME), "a subscription")
    return bool(subscribed())


@cache  # the same scenario wherever it is asked for: what it shows by default is remembered
def heard(topic: str) -> Any:
    """Type and reliability of the node's subscription to ``topic``."""

    def observe(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
        # In a participant of its own: DDS takes one type per topic in each.
        sender = NodeGraph()
        try:
            Recording(sender)
            graph.add(SegmentationNode, create_segmenter=lambda _: GradedSegmenter(),
                      parameters=parameters)
            found = graph.wait(lambda: graph.tester.get_subscriptions_info_by_topic(topic), topic)
            return [(one.topic_type, one.qos_profile.reliability.name) for one in found]
        finally:
            sender.close()

    return observe


@cache
def told(key: str, **recording: Any) -> Any:
    def observe(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
        if recording:
            need(recording["audio_type"])
        stream = Stream(graph, parameters, **recording).ready()
        graph.wait(lambda: "no publisher" not in (stream.said(key) or "no publisher"), key)
        return stream.said(key)

    return observe


def rays(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    stream = Stream(graph, parameters).ready()
    stream.recording.sound(0.0, 4.0)
    for number in range(20):
        stream.calibrate()
        stream.frame(1.0 + number * 0.1)
        if waited(graph, lambda: stream.rays, 0.3):
            break
    return [round(value, 3) for value in read_ray(stream.rays[0])]


def overlay_size(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    stream = Stream(graph, parameters).ready()
    stream.recording.sound(0.0, 4.0)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for number in range(20):
        stream.frame(1.0 + number * 0.1, noise)
        if waited(graph, lambda: stream.overlays, 0.3):
            break
    return len(stream.overlays[0].data)


def before_its_sound(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether a frame is answered though its sound has not come."""
    stream = Stream(graph, parameters).ready()
    stream.recording.sound(0.0, 0.5)
    stream.recording.frame(1.0)
    return stream.answered_soon(late=parameters["deadline"] > 1.0)


def answered_at_once(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether a frame is answered soon after the one before it."""
    stream = Stream(graph, parameters).ready()
    stream.recording.sound(0.0, 4.0)
    stream.frame(0.9)
    stream.detections.clear()
    stream.recording.frame(1.0)
    return stream.answered_soon(late="max_rate" in parameters)


def pages_apart(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether two pages come, or none in the time of many."""
    stream = Stream(graph, parameters)
    late = parameters["diagnostics_period"] > 1.0
    waited(graph, lambda: len(stream.pages) > 1, 2.0 if late else TIMEOUT_S)
    return len(stream.pages) > 1


def both_images(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Which of two image topics is taken."""
    beside = graph.publisher("sensor_msgs/msg/CompressedImage", "image/compressed")
    stream = Stream(graph, parameters)
    graph.wait(lambda: beside.get_subscription_count()
               + stream.recording.images.get_subscription_count())
    beside.publish(rgb_to_compressed(ROS, make_header(ROS, BASE_NS), lamp()))
    return beside.get_subscription_count(), stream.recording.images.get_subscription_count()


BARE = {"audio_type": "AudioDataStamped"}
MOVES: Moves = {
    "autostart": (Move(False, active),),
    "model": (Move("avsc_light", asked),),
    "engine": (Move("torch", asked),),
    "device": (Move("cuda:1", asked),),
    "image_transport": (Move("compressed", both_images),),
    "image_qos": (Move("sensor_data", heard("/image")),),
    "image_rectified": (Move(True, rays),),
    "audio_type": (Move("RawAudio", heard("/audio")),),
    "audio_qos": (Move("sensor_data", heard("/audio")),),
    "audio_depth": (Move(7, told("audio")),),
    "audio_rate": (Move(8000, told("audio_format", **BARE)),),
    "audio_channels": (Move(2, told("audio_format", **BARE)),),
    "audio_format": (Move("F32LE", told("audio_format", **BARE)),),
    "audio_stamp_offset": (Move(0.5, fading), Move(-0.5, fading)),
    "audio_offset": (Move(0.5, fading), Move(-0.5, fading)),
    "deadline": (Move(0.0, before_its_sound, {"deadline": 10.0}),),
    "max_rate": (Move(0.2, answered_at_once),),
    "threshold": (Move(0.05, fading), Move(0.8, fading)),
    "silence_dbfs": (Move(-12.0, fading), Move(-120.0, faint)),
    "sounding_threshold": (Move(0.2, fading), Move(0.8, fading)),
    "companion_threshold": (Move(1.0, real),),
    "hold": (Move(3.0, fading), Move(0.0, real)),
    "release": (Move(1.0, real), Move(0.1, real)),
    "context": (Move(0.0, real),),
    "audio_period": (Move(2.0, real),),
    "moving_share": (Move(0.0, both_cats),),
    "category_thresholds": (Move(["lamp=0.8"], fading), Move(["lamp=0.2"], fading)),
    "hysteresis": (Move(0.4, fading, {"threshold": 0.8}),),
    "min_area": (Move(0.1, fading), Move(0.0, fading, {"min_area": 0.1})),
    "max_instances": (Move(1, fading),),
    "smoothing": (Move(0.9, fading),),
    "labels_keep": (Move(["cat"], fading),),
    "labels_ignore": (Move(["lamp"], fading),),
    "jpeg_quality": (Move(10, overlay_size), Move(100, overlay_size)),
    "diagnostics_period": (Move(20.0, pages_apart, {"diagnostics_period": 0.2}),),
}


def test_the_scenarios_are_those_of_the_parameters() -> None:
    check_names("segmentation_node", MOVES)


def test_every_node_has_its_scenarios() -> None:
    assert sorted(TABLES) == ["attention_node", "evaluator_node", "microphone_node",
                              "player_node", "segmentation_node"], (
        "a node's parameters need a file like this one")


@pytest.mark.parametrize("name", sorted(MOVES))
def test_a_parameter_has_an_effect(name: str) -> None:
    check_effect(name, MOVES)


@pytest.mark.parametrize("observe", [fading, real, rays, overlay_size, told("audio")])
def test_without_a_change_nothing_differs(observe: Observe) -> None:
    check_steady(observe)
