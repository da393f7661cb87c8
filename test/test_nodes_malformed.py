"""No message ends a node: fields spoiled at random (fixed seeds), then the node does its work."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import BrightnessSegmenter
from node_graph import BASE_NS, NodeGraph, Recording, lamp, page, said

from avs_ros.conversions.camera import make_camera_info
from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.evaluator_node import EvaluatorNode
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.segmentation_node import SegmentationNode
from avs_ros.segmentation import Instance, Segmentation

SPOILED = 40
FLOATS = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-300, 1e300)
WORDS = ("", "mono8", "rgb16", "bayer_rggb8", "nv12", "32FC1", "jpeg", "plumb_bob", "x" * 300, "é")


def leaves(msg: Any, inside: str = "") -> list[tuple[Any, str, str]]:
    """Every field that is no message itself: (its message, name, type); stamps are left alone."""
    found = []
    for name, kind in msg.get_fields_and_field_types().items():
        value = getattr(msg, name)
        if hasattr(value, "get_fields_and_field_types"):
            if not kind.endswith("/Time"):
                found += leaves(value)
        elif kind.startswith("sequence<") and len(value) and "/" in kind:
            found += leaves(value[0])
        elif "/" not in kind:
            found.append((msg, name, kind))
    return found


def spoil(msg: Any, rng: np.random.Generator) -> Any:
    """``msg`` with a few fields that make no sense."""
    found = leaves(msg)
    for index in rng.integers(0, len(found), int(rng.integers(1, 4))):
        owner, name, kind = found[index]
        value = getattr(owner, name)
        length = int(rng.integers(0, 20))
        if match := re.fullmatch(r"(u?)int(\d+)", kind):
            low, high = (0, 2 ** int(match[2])) if match[1] else (
                -(2 ** (int(match[2]) - 1)), 2 ** (int(match[2]) - 1))
            few = int(rng.integers(0, 8))
            setattr(owner, name, int(rng.choice([low, high - 1, few, -few if low else few])))
        elif kind in ("float", "double"):
            setattr(owner, name, float(rng.choice(FLOATS)))
        elif kind == "string":
            setattr(owner, name, str(rng.choice(WORDS)))
        elif kind.startswith("sequence<uint8"):
            cut = bytes(value)[: int(rng.integers(0, len(value) + 1))]
            setattr(owner, name, cut + rng.bytes(int(rng.integers(0, 4))))
        elif kind.startswith("sequence<") and ("float" in kind or "double" in kind):
            setattr(owner, name, [float(one) for one in rng.choice(FLOATS, length)])
        elif kind.endswith("]") and "double" in kind:
            setattr(owner, name, np.array(rng.choice(FLOATS, len(value)), np.float64))
        elif kind.startswith("sequence<int"):
            setattr(owner, name, [int(one) for one in rng.integers(-5, 5, length)])
    return msg


def found(*instances: Instance) -> Segmentation:
    empty = np.zeros((4, 4), np.uint8)
    return Segmentation(1, 64, 48, True, 0.5, "", "", 0.0, instances, None, 0.0,
                        empty.astype(np.float32), empty)


DRUM = found(Instance(1, "drum", 0.9, (20.0, 10.0, 40.0, 30.0), 400))


class Publisher:
    """Publishes through a function."""

    def __init__(self, publish: Callable[[Any], None]) -> None:
        self.publish = publish


def box() -> np.ndarray:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255
    return mask


def refused(values: dict[str, str]) -> int:
    return sum(int(value) for key, value in values.items() if key.startswith("refused "))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_segmentation_node_lives_on(graph: NodeGraph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph.add(SegmentationNode, create_segmenter=lambda parameters: BrightnessSegmenter(),
              parameters={"diagnostics_period": 0.1})
    values = page(graph)
    masks = graph.listen("sensor_msgs/msg/Image", "/segmentation_node/mask")
    graph.listen("sensor_msgs/msg/Image", "/segmentation_node/overlay")
    graph.listen("geometry_msgs/msg/PointStamped", "/segmentation_node/attention")
    kinds = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
    recording = Recording(graph, kinds[seed % 2])
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
    recording.wait_for_node()
    graph.wait(camera.get_subscription_count, "a subscription to camera_info")
    write = rgb_to_compressed if seed % 2 else make_image

    def send(at_s: float, spoiled: bool) -> int:
        header = make_header(ROS, BASE_NS + round(at_s * 1e9), "cam")
        info, image = make_camera_info(ROS, header, 64, 48, 1.2), write(ROS, header, lamp())
        camera.publish(spoil(info, rng) if spoiled else info)
        recording.images.publish(spoil(image, rng) if spoiled else image)
        return stamp_to_ns(header.stamp)

    spoiled = itertools.count()

    def enough() -> bool:
        number = next(spoiled)
        recording.sound(number * 0.1, 0.1)
        send((number + 1) * 0.1, spoiled=True)
        return number > SPOILED and refused(values) > 5

    graph.wait(enough, "messages to be refused")
    sent = set()

    def answered() -> bool:
        at_s = 100_000.0 + len(sent) * 0.5
        recording.sound(at_s - 0.5, 0.5)
        sent.add(send(at_s, spoiled=False))
        return any(
            stamp_to_ns(mask.header.stamp) in sent and read_mask(mask).any() for mask in masks)

    graph.wait(answered, "an answer")


@pytest.mark.parametrize("audio_type", ["AudioStamped", "RawAudio"])
def test_spoiled_sound_does_no_lasting_harm(graph: NodeGraph, audio_type: str) -> None:
    rng = np.random.default_rng(3)
    graph.add(SegmentationNode, create_segmenter=lambda parameters: BrightnessSegmenter(),
              parameters={"diagnostics_period": 0.1})
    values = page(graph)
    masks = graph.listen("sensor_msgs/msg/Image", "/segmentation_node/mask")
    recording = Recording(graph, audio_type=audio_type)
    recording.wait_for_node()
    publish = recording.sounds.publish
    recording.sounds = Publisher(lambda msg: publish(spoil(msg, rng)))
    for number in range(SPOILED):
        recording.sound(number * 0.1, 0.1)
    graph.wait(lambda: refused(values) > 5, "messages to be refused")
    recording.sounds = Publisher(publish)
    sent = 0

    def answered() -> bool:
        nonlocal sent
        sent += 1
        recording.sound(1000.0 + sent, 1.0)
        recording.frame(1001.0 + sent)
        return any(read_mask(mask).any() for mask in masks)

    graph.wait(answered, "an answer")


@pytest.mark.parametrize("seed", [4, 5])
def test_the_attention_node_lives_on(graph: NodeGraph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = graph.listen("geometry_msgs/msg/PointStamped", "/attention_node/target")
    graph.add(AttentionNode, parameters={"dwell": 0.0})
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
    mask = graph.publisher("sensor_msgs/msg/Image", "label_mask")
    detections = graph.publisher("vision_msgs/msg/Detection2DArray", "detections")
    for publisher in (camera, mask, detections):
        graph.wait(publisher.get_subscription_count, "the node's subscription")

    def send(number: int, spoiled: bool) -> int:
        header = make_header(ROS, BASE_NS + number * 10**8, "cam")
        for publisher, msg in (
            (camera, make_camera_info(ROS, header, 64, 48, 1.2)),
            (mask, make_image(ROS, header, box() // 255)),
            (detections, make_detections(ROS, header, DRUM)),
        ):
            publisher.publish(spoil(msg, rng) if spoiled else msg)
        return stamp_to_ns(header.stamp)

    for number in range(SPOILED):
        send(number, spoiled=True)
    sent: set[int] = set()

    def looked() -> bool:
        sent.add(send(1000 + len(sent), spoiled=False))
        return any(stamp_to_ns(target.header.stamp) in sent for target in targets)

    graph.wait(looked, "a target")
    ray = targets[-1].point
    assert math.isclose(ray.x**2 + ray.y**2 + ray.z**2, 1.0)


@pytest.mark.parametrize(("reason", "field", "value", "text"), [
    ("camera_distortion", "d", [0.1] * 6, "6 distortion coefficients"),
    ("camera_uncalibrated", "k", np.full(9, math.nan), "without a calibration"),
])
def test_a_calibration_that_cannot_be_used_is_counted_and_said_once(
    graph: NodeGraph, reason: str, field: str, value: Any, text: str
) -> None:
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
    states = graph.listen("std_msgs/msg/String", "/attention_node/state", 20, latched=True)
    graph.add(AttentionNode, parameters={
        "dwell": 0.0, "qos_overrides./camera_info.subscription.depth": 10,
        "qos_overrides./detections.subscription.depth": 10})
    values = page(graph)
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
    detections = graph.publisher("vision_msgs/msg/Detection2DArray", "detections")
    for publisher in (camera, detections):
        graph.wait(publisher.get_subscription_count, "the node's subscription")
    for number in range(5):
        info = make_camera_info(ROS, make_header(ROS, BASE_NS + number), 64, 48, 1.2)
        setattr(info, field, value)
        camera.publish(info)
    graph.wait(lambda: values.get(f"refused {reason}") == "5", "the count")
    for number in range(5):
        detections.publish(make_detections(ROS, make_header(ROS, BASE_NS + number), DRUM))
    graph.wait(lambda: values["received /detections"] == "5", "the detections")
    graph.wait(lambda: states and states[-1].data == "looking", "the state")
    assert text in values["camera"]
    assert len(said(log, text)) == 1


@pytest.mark.parametrize("seed", [6, 7])
def test_the_evaluator_lives_on(graph: NodeGraph, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = page(graph)
    node = graph.add(EvaluatorNode, parameters={"output": str(tmp_path / "out"), "wait": 60.0})
    image, array = "sensor_msgs/msg/Image", "vision_msgs/msg/Detection2DArray"
    mask = graph.publisher(image, "mask", 50)
    probability = graph.publisher(image, "probability", 50)
    detections = graph.publisher(array, "detections", 50)
    truth = graph.publisher(image, "ground_truth/mask", 50)
    true_detections = graph.publisher(array, "ground_truth/detections", 50)
    for publisher in (mask, probability, detections, truth, true_detections):
        graph.wait(publisher.get_subscription_count, "the node's subscription")

    def send(number: int, spoiled: bool) -> None:
        header = make_header(ROS, BASE_NS + number * 10**8)
        for publisher, msg in (
            (truth, make_image(ROS, header, box())),
            (true_detections, make_detections(ROS, header, DRUM)),
            (mask, make_image(ROS, header, box())),
            (probability, make_image(ROS, header, np.float32(0.9) * (box() > 0))),
            (detections, make_detections(ROS, header, DRUM)),
        ):
            publisher.publish(spoil(msg, rng) if spoiled else msg)

    for number in range(SPOILED):
        send(number, spoiled=True)
    graph.wait(lambda: refused(values) > 5, "messages to be refused")
    for number in range(SPOILED, SPOILED + 10):
        send(number, spoiled=False)
    # The last frame's parts have come once a spoiled message after them is counted.
    before = refused(values)
    wrong = make_image(ROS, make_header(ROS, BASE_NS), box())
    wrong.encoding = "rgb8"
    for publisher in (mask, truth):
        publisher.publish(wrong)
    graph.wait(lambda: refused(values) == before + 2, "the last messages")
    graph.remove(node)  # as at shutdown
    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert scores["frames"] >= 8 and scores["malformed_messages"] == before + 2
