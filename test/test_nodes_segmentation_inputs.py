"""What the segmentation node takes in: encodings, audio families, damage, quality of service."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import cv2
import numpy as np
import pytest
from audio_families import need
from encoded_images import HEIGHT, WIDTH, encode
from fakes import BrightnessSegmenter
from node_graph import (
    BASE_NS,
    IMAGE,
    SEGMENTATION,
    NodeGraph,
    Recording,
    lamp,
    pages,
    rclpy,
    start_segmentation,
    tone,
    values,
)
from ros_packages import get_message

from avs_ros.conversions.audio import AUDIO_TYPES, make_audio, make_audio_info
from avs_ros.conversions.image_reading import ENCODINGS, read_mask
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.segmentation_node import SegmentationNode


def test_every_encoding_is_understood(graph: NodeGraph) -> None:
    start_segmentation(graph, min_area=0.0)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 20.0)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, :4] = 255
    for number, encoding in enumerate(ENCODINGS):
        rows = np.pad(encode(image, encoding), ((0, 0), (0, 3)))
        stamp_ns = BASE_NS + round((1.0 + number * 0.1) * 1e9)
        recording.images.publish(get_message(IMAGE)(
            header=make_header(ROS, stamp_ns), width=WIDTH, height=HEIGHT, encoding=encoding,
            step=rows.shape[1], is_bigendian=0, data=rows.tobytes()))
        graph.wait(lambda number=number: len(masks) > number, encoding)
        assert stamp_to_ns(masks[-1].header.stamp) == stamp_ns
        mask = read_mask(masks[-1])
        assert (mask[1:-1, 1:3] == 255).all() and (mask[1:-1, 5:7] == 0).all(), encoding


def test_compressed_images_are_found_next_to_the_remapped_topic(graph: NodeGraph) -> None:
    graph.add(
        SegmentationNode, create_segmenter=lambda _: BrightnessSegmenter(),
        cli=["--ros-args", "-r", "image:=/camera/image_raw"],
    )
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    recording = Recording(
        graph, "sensor_msgs/msg/CompressedImage", image_topic="/camera/image_raw/compressed")
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "/camera/camera_info")
    recording.wait_for_node()
    graph.wait(camera.get_subscription_count, "camera_info next to the image")
    recording.sound(0.0, 3.0)
    png = cv2.imencode(".png", lamp())[1].tobytes()
    for number, codec in enumerate(("jpeg", "png")):
        stamp_ns = BASE_NS + round((1.0 + number) * 1e9)
        message = rgb_to_compressed(ROS, make_header(ROS, stamp_ns), lamp())
        if codec == "png":
            message.format, message.data = "rgb8; png compressed bgr8", png
        recording.images.publish(message)
        graph.wait(lambda number=number: len(masks) > number, codec)
        assert abs((read_mask(masks[-1]) > 0).sum() - 400) < 40


@pytest.mark.parametrize("family", list(AUDIO_TYPES))
def test_every_audio_family_is_recognised_on_the_graph(graph: NodeGraph, family: str) -> None:
    need(family)
    start_segmentation(graph)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    latest = pages(graph)
    recording = Recording(graph, audio_type=family)
    recording.wait_for_node()
    stereo = np.stack([tone(1.5, 8000)] * 2, axis=1)
    if family in ("AudioDataStamped", "AudioData"):
        info = graph.publisher("audio_common_msgs/msg/AudioInfo", "audio_info")
        graph.wait(info.get_subscription_count, "a subscription to audio_info")
        info.publish(make_audio_info(ROS, 8000, 2))
        graph.wait(
            lambda: "from audio_info" in values(latest.get("inputs")).get("audio_format", ""))
    # Unstamped sound is placed by its arrival, so the frame must be of now.
    now_ns = time.time_ns() if family == "AudioData" else BASE_NS + 1_500_000_000
    recording.sounds.publish(make_audio(ROS, family, now_ns - 1_500_000_000, stereo, 8000))
    recording.images.publish(make_image(ROS, make_header(ROS, now_ns - 100_000_000), lamp()))
    graph.wait(lambda: masks, "a mask")
    assert (read_mask(masks[0]) > 0).sum() == 400
    graph.wait(lambda: AUDIO_TYPES[family] in values(latest.get("inputs")).get("audio", ""))


def test_a_format_that_the_chunks_contradict_is_told(graph: NodeGraph) -> None:
    """44.1 kHz stereo without AudioInfo: said on /diagnostics, with the parameters that help."""
    need("AudioDataStamped")
    start_segmentation(graph)
    latest = pages(graph)
    recording = Recording(graph, audio_type="AudioDataStamped")
    recording.wait_for_node()
    stereo = np.stack([tone(0.032, 44100)] * 2, axis=1)
    numbers = itertools.count()

    def told() -> str:
        """Publish the next chunk; what /diagnostics says by now."""
        stamp_ns = BASE_NS + next(numbers) * 32_000_000
        recording.sounds.publish(make_audio(ROS, "AudioDataStamped", stamp_ns, stereo, 44100))
        page = latest.get("inputs")
        return "" if page is None else f"{page.message} {values(page)}"

    graph.wait(lambda: "5.5 times" in told(), "the contradiction on /diagnostics")
    assert "audio_rate:=44100 audio_channels:=2 audio_format:=S16LE" in told()


def test_a_family_that_changes_is_followed(graph: NodeGraph) -> None:
    start_segmentation(graph)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    # Each sender in a participant of its own: DDS takes one type per topic in each.
    first, then = NodeGraph(), NodeGraph()
    try:
        sounds = first.publisher(AUDIO_TYPES["RawAudio"], "audio")
        graph.wait(sounds.get_subscription_count, "a subscription to the first family")
        first.tester.destroy_publisher(sounds)
        recording = Recording(then)
        recording.wait_for_node()
        recording.sound(0.0, 1.5)
        recording.frame(1.2)
        graph.wait(lambda: masks, "a mask")
    finally:
        first.close()
        then.close()
    assert read_mask(masks[0]).any()


def test_malformed_messages_are_counted_by_reason(graph: NodeGraph) -> None:
    start_segmentation(graph)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    rgb = lamp()

    def image(**changes: Any) -> Any:
        msg = make_image(ROS, make_header(ROS, BASE_NS + 1_000_000_000), rgb)
        for name, value in changes.items():
            setattr(msg, name, value)
        return msg

    def sound(**changes: Any) -> Any:
        msg = make_audio(ROS, "AudioStamped", BASE_NS, tone(0.1), 16000)
        for name, value in changes.items():
            setattr(msg.audio.info, name, value)
        return msg

    cases = [
        ("image_step", recording.images, image(step=5)),
        ("image_truncated", recording.images, image(data=b"\1\2\3")),
        ("image_zero_size", recording.images, image(width=0)),
        ("image_encoding", recording.images, image(encoding="hsv8")),
        ("image_stamp_zero", recording.images, image(header=make_header(ROS, 0))),
        ("audio_rate", recording.sounds, sound(rate=0)),
        ("audio_channels", recording.sounds, sound(channels=0)),
        ("audio_truncated", recording.sounds, sound(channels=7)),
        ("audio_format", recording.sounds, sound(format=77)),
        ("audio_empty", recording.sounds, make_audio(
            ROS, "AudioStamped", BASE_NS, np.zeros((0, 1), np.int16), 16000)),
        ("audio_stamp_zero", recording.sounds, make_audio(
            ROS, "AudioStamped", 0, tone(0.1), 16000)),
    ]
    warned = set()
    for reason, publisher, message in cases:
        publisher.publish(message)
        graph.wait(
            lambda reason=reason: values(latest.get("inputs")).get(f"refused {reason}") == "1",
            reason)
        warned.add(latest["inputs"].level)
    assert b"\x01" in warned
    nan = sound(format=1)
    nan.audio.audio_data.float32_data = [math.nan] * 160
    recording.sounds.publish(nan)
    graph.wait(lambda: values(latest.get("stream")).get("audio_nonfinite") == "160", "NaN")
    # And after all that the node still does its work.
    recording.sound(10.0, 3.0)
    recording.frame(11.5)
    graph.wait(lambda: masks, "a mask")
    assert read_mask(masks[0]).any()


def test_incompatible_publishers_are_told_in_words(graph: NodeGraph) -> None:
    start_segmentation(graph, image_qos="reliable", image_transport="raw")
    latest = pages(graph)
    best_effort = rclpy.qos.QoSProfile(
        depth=1, reliability=rclpy.qos.ReliabilityPolicy.BEST_EFFORT)
    graph.publisher(IMAGE, "image", best_effort)
    status = graph.wait(
        lambda: (one := latest.get("inputs")) and one.level == b"\x02" and one, "an error")
    assert "/image" in status.message and "use auto" in status.message


def test_subscriptions_follow_parameters_and_overrides(graph: NodeGraph) -> None:
    start_segmentation(
        graph, audio_qos="reliable", image_qos="sensor_data", image_transport="raw",
        audio_type="RawAudio", **{"qos_overrides./image.subscription.depth": 3},
    )
    for topic in ("/audio", "/image"):
        graph.wait(lambda t=topic: graph.tester.get_subscriptions_info_by_topic(t), topic)
    (audio,) = graph.tester.get_subscriptions_info_by_topic("/audio")
    (image,) = graph.tester.get_subscriptions_info_by_topic("/image")
    assert audio.qos_profile.reliability == rclpy.qos.ReliabilityPolicy.RELIABLE
    assert image.qos_profile.reliability == rclpy.qos.ReliabilityPolicy.BEST_EFFORT
    assert audio.topic_type == "foxglove_msgs/msg/RawAudio"
    node = graph.nodes[-1]

    def depths() -> dict[str, int]:
        return {sub.topic_name: sub.qos_profile.depth for sub in node.subscriptions}

    # Others may see a subscription before the node has it in its own list.
    graph.wait(lambda: {"/image", "/audio"} <= depths().keys(), "both subscriptions")
    assert depths()["/image"] == 3 and depths()["/audio"] == 50


def test_bytes_that_only_break_in_the_decoder_are_counted(graph: NodeGraph) -> None:
    start_segmentation(graph)
    latest = pages(graph)
    recording = Recording(
        graph, "sensor_msgs/msg/CompressedImage", image_topic="image/compressed")
    recording.wait_for_node()
    recording.sound(0.0, 3.0)
    broken = rgb_to_compressed(ROS, make_header(ROS, BASE_NS + 1_000_000_000), lamp())
    data = bytearray(cv2.imencode(".png", lamp())[1].tobytes())
    data[8:60] = b"\0" * 52
    broken.data = bytes(data)
    recording.images.publish(broken)
    graph.wait(lambda: values(latest.get("inputs")).get("refused compressed_codec") == "1")
