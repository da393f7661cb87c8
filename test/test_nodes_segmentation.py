"""The segmentation node as others on the graph see it: topics in, answers out."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from encoded_images import HEIGHT, WIDTH, encode
from fakes import BrightnessSegmenter
from node_graph import BASE_NS, NodeGraph, Recording, lamp, rclpy, tone
from ros_packages import get_message, ros_drivers_environment

from avs_ros.conversions import (
    AUDIO_TYPES,
    ENCODINGS,
    compressed_to_rgb,
    image_to_rgb,
    make_audio,
    make_audio_info,
    make_camera_info,
    make_header,
    read_detections,
    read_mask,
    read_ray,
    rgb_to_compressed,
    rgb_to_image,
    stamp_to_ns,
    topics,
)
from avs_ros.nodes.message_types import ROS, installed_audio_types
from avs_ros.nodes.segmentation_node import SegmentationNode

NODE = "/segmentation_node"
IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture
def graph() -> Iterator[NodeGraph]:
    graph = NodeGraph()
    yield graph
    graph.close()


def start(graph: NodeGraph, segmenter: Any = None, **parameters: Any) -> Any:
    made = segmenter if segmenter is not None else BrightnessSegmenter()
    return graph.add(
        SegmentationNode, create_segmenter=lambda _: made,
        parameters={"diagnostics_period": 0.1, **parameters},
    )


def pages(graph: NodeGraph) -> dict[str, Any]:
    """Name -> latest status of the node's diagnostics, kept up to date."""
    latest: dict[str, Any] = {}

    def take(msg: Any) -> None:
        for status in msg.status:
            latest[status.name.split(": ")[1]] = status

    graph.tester.create_subscription(
        get_message("diagnostic_msgs/msg/DiagnosticArray"), "/diagnostics", take, 10
    )
    return latest


def values(status: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values} if status is not None else {}


def test_every_output_carries_the_header_of_its_frame(graph: NodeGraph) -> None:
    heard = {
        name: graph.listen(type_name, f"{NODE}/{name}")
        for name, type_name in {
            "mask": IMAGE, "label_mask": IMAGE, "label_mask_color": IMAGE, "probability": IMAGE,
            "overlay": IMAGE, "overlay/compressed": "sensor_msgs/msg/CompressedImage",
            "detections": "vision_msgs/msg/Detection2DArray",
            "attention": "geometry_msgs/msg/PointStamped",
        }.items()
    }
    figures = {
        name: graph.listen("std_msgs/msg/Float64", f"{NODE}/debug/{name}")
        for name in ("latency_ms", "processing_ms", "sync_error_ms")
    }
    labels = graph.listen("vision_msgs/msg/LabelInfo", f"{NODE}/label_info", 1, latched=True)
    start(graph)
    recording = Recording(graph)
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
    recording.wait_for_node()
    graph.wait(camera.get_subscription_count, "a subscription to camera_info")
    info = make_camera_info(ROS, make_header(ROS, BASE_NS, "camera_optical_frame"), 64, 48, 1.0)
    camera.publish(info)
    recording.sound(0.0, 4.0)
    for i in range(20):
        stamp_ns = recording.frame(1.0 + i * 0.1)
        graph.wait(lambda i=i: len(heard["mask"]) > i, "a mask")
        if heard["attention"]:
            break
        camera.publish(info)
    for name, messages in {**heard, **figures}.items():
        graph.wait(lambda messages=messages: messages, name)
    for name, messages in heard.items():
        graph.wait(
            lambda messages=messages: stamp_to_ns(messages[-1].header.stamp) == stamp_ns, name)
        assert messages[-1].header.frame_id == "camera_optical_frame"

    mask = read_mask(heard["mask"][-1])
    assert mask.shape == (48, 64) and set(np.unique(mask)) == {0, 255}
    assert (mask[10:30, 20:40] == 255).all() and (mask > 0).sum() == 400
    assert set(np.unique(read_mask(heard["label_mask"][-1]))) == {0, 1}
    coloured = image_to_rgb(heard["label_mask_color"][-1])
    assert coloured[20, 30].any() and not coloured[0, 0].any()
    probability = np.frombuffer(heard["probability"][-1].data, np.float32).reshape(48, 64)
    assert probability[20, 30] == 1.0 and probability[0, 0] == 0.0
    (found,) = read_detections(heard["detections"][-1])
    assert (found.index, found.label, found.box) == (1, "lamp", (20.0, 10.0, 40.0, 30.0))
    ray = read_ray(heard["attention"][-1])
    assert ray[0] < 0 and ray[1] < 0 and math.isclose(sum(v * v for v in ray), 1.0)
    overlay = image_to_rgb(heard["overlay"][-1])
    assert overlay.shape == (48, 64, 3) and (overlay != lamp()).any()
    small = compressed_to_rgb(heard["overlay/compressed"][-1])
    assert np.abs(small.astype(int) - overlay).mean() < 20
    assert figures["sync_error_ms"][-1].data == 0.0
    assert figures["processing_ms"][-1].data > 0.0
    graph.wait(lambda: labels, "label_info")
    assert [one.class_name for one in labels[0].class_map] == ["lamp"]
    assert labels[0].threshold == pytest.approx(0.5)


def test_nothing_is_computed_that_nobody_listens_to(
    graph: NodeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(topics, "draw_overlay", lambda rgb, _: drawn.append(1) or rgb)
    start(graph)
    detections = graph.listen("vision_msgs/msg/Detection2DArray", f"{NODE}/detections")
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 4.0)
    for i in range(3):
        recording.frame(1.0 + i * 0.1)
        graph.wait(lambda i=i: len(detections) > i, "detections")
    assert not drawn
    overlay = graph.listen(IMAGE, f"{NODE}/overlay")
    for i in range(20):
        recording.frame(1.5 + i * 0.1)
        graph.wait(lambda i=i: len(detections) > 3 + i, "detections")
        if overlay:
            break
    assert drawn and overlay


def test_every_encoding_is_understood(graph: NodeGraph) -> None:
    start(graph, min_area=0.0)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 20.0)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:, :4] = 255
    for number, encoding in enumerate(ENCODINGS):
        rows = np.pad(encode(picture, encoding), ((0, 0), (0, 3)))
        stamp_ns = BASE_NS + round((1.0 + number * 0.1) * 1e9)
        recording.images.publish(get_message(IMAGE)(
            header=make_header(ROS, stamp_ns), width=WIDTH, height=HEIGHT, encoding=encoding,
            step=rows.shape[1], is_bigendian=0, data=rows.tobytes()))
        graph.wait(lambda number=number: len(masks) > number, encoding)
        assert stamp_to_ns(masks[-1].header.stamp) == stamp_ns
        mask = read_mask(masks[-1])
        assert (mask[1:-1, 1:3] == 255).all() and (mask[1:-1, 5:7] == 0).all(), encoding


def test_compressed_pictures_are_found_next_to_the_remapped_topic(graph: NodeGraph) -> None:
    graph.add(
        SegmentationNode, create_segmenter=lambda _: BrightnessSegmenter(),
        cli=["--ros-args", "-r", "image:=/camera/image_raw"],
    )
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    recording = Recording(
        graph, "sensor_msgs/msg/CompressedImage", image_topic="/camera/image_raw/compressed")
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "/camera/camera_info")
    recording.wait_for_node()
    graph.wait(camera.get_subscription_count, "camera_info next to the picture")
    recording.sound(0.0, 3.0)
    for number, codec in enumerate(("jpeg", "png")):
        stamp_ns = BASE_NS + round((1.0 + number) * 1e9)
        recording.images.publish(rgb_to_compressed(ROS, make_header(ROS, stamp_ns), lamp(), codec))
        graph.wait(lambda number=number: len(masks) > number, codec)
        assert abs((read_mask(masks[-1]) > 0).sum() - 400) < 40


@pytest.mark.parametrize("family", list(AUDIO_TYPES))
def test_every_audio_family_is_recognised_on_the_graph(graph: NodeGraph, family: str) -> None:
    if family not in installed_audio_types():
        pytest.skip("the other family of sound messages is installed: see the test after this")
    start(graph)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
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
    recording.images.publish(rgb_to_image(ROS, make_header(ROS, now_ns - 100_000_000), lamp()))
    graph.wait(lambda: masks, "a mask")
    assert (read_mask(masks[0]) > 0).sum() == 400
    graph.wait(lambda: AUDIO_TYPES[family] in values(latest.get("inputs")).get("audio", ""))


def test_a_format_that_the_chunks_contradict_is_told(graph: NodeGraph) -> None:
    """44.1 kHz stereo without AudioInfo: said on /diagnostics, with the parameters that help."""
    if "AudioDataStamped" not in installed_audio_types():
        pytest.skip("the other family of sound messages is installed: see the test after this")
    start(graph)
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


@pytest.mark.parametrize(
    ("chosen", "passed"),
    [("every_audio_family and AudioData", "2 passed"), ("that_the_chunks", "1 passed")],
    ids=["recognised", "held"],
)
def test_the_family_of_ros_drivers_where_it_is_installed(chosen: str, passed: str) -> None:
    environment = ros_drivers_environment()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", chosen],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )
    assert done.returncode == 0, done.stdout
    assert passed in done.stdout, done.stdout


def test_a_family_that_changes_is_followed(graph: NodeGraph) -> None:
    start(graph)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
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
    start(graph)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    rgb = lamp()

    def image(**changes: Any) -> Any:
        msg = rgb_to_image(ROS, make_header(ROS, BASE_NS + 1_000_000_000), rgb)
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
    start(graph, image_qos="reliable", image_transport="raw")
    latest = pages(graph)
    best_effort = rclpy.qos.QoSProfile(
        depth=1, reliability=rclpy.qos.ReliabilityPolicy.BEST_EFFORT)
    graph.publisher(IMAGE, "image", best_effort)
    status = graph.wait(
        lambda: (one := latest.get("inputs")) and one.level == b"\x02" and one, "an error")
    assert "/image" in status.message and "use auto" in status.message


def test_subscriptions_follow_parameters_and_overrides(graph: NodeGraph) -> None:
    start(graph, audio_qos="reliable", image_qos="sensor_data", image_transport="raw",
          audio_type="RawAudio", **{"qos_overrides./image.subscription.depth": 3})
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


def test_latency_is_measured_in_simulated_time(graph: NodeGraph) -> None:
    start(graph, use_sim_time=True)
    latency = graph.listen("std_msgs/msg/Float64", f"{NODE}/debug/latency_ms")
    clock = graph.publisher("rosgraph_msgs/msg/Clock", "/clock")
    recording = Recording(graph)
    recording.wait_for_node()
    graph.wait(clock.get_subscription_count, "a subscription to /clock")
    now = get_message("rosgraph_msgs/msg/Clock")()
    now.clock.sec = 1002
    clock.publish(now)
    graph.wait(lambda: graph.nodes[-1].get_clock().now().nanoseconds == 1_002_000_000_000)
    recording.sound(0.0, 1.6)
    recording.frame(1.5)
    graph.wait(lambda: latency, "latency")
    assert latency[0].data == pytest.approx(500.0)


def test_a_looped_recording_starts_anew(graph: NodeGraph) -> None:
    segmenter = BrightnessSegmenter()
    start(graph, segmenter)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    resets = 0
    for loop in range(3):
        for i in range(3):
            recording.sound(i * 1.0, 1.0)
            stamp_ns = recording.frame(0.9 + i * 1.0)
            graph.wait(lambda n=3 * loop + i: len(masks) > n, f"mask {i} of loop {loop}")
            assert stamp_to_ns(masks[-1].header.stamp) == stamp_ns
            assert (read_mask(masks[-1]) > 0).sum() == 400
            resets = resets or segmenter.resets
    assert segmenter.resets == resets + 2
    assert graph.wait(lambda: values(latest.get("stream")).get("jumps_back") == "2")


def test_a_bag_played_in_a_loop_with_its_clock_starts_anew_and_is_counted(
    graph: NodeGraph,
) -> None:
    """The clock jumps before the first frame of the next round, as `ros2 bag play -l --clock`."""
    start(graph, use_sim_time=True)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    latest = pages(graph)
    clock = graph.publisher("rosgraph_msgs/msg/Clock", "/clock")
    recording = Recording(graph)
    recording.wait_for_node()
    graph.wait(clock.get_subscription_count, "a subscription to /clock")
    message = get_message("rosgraph_msgs/msg/Clock")()
    node = graph.nodes[-1]
    for loop in range(3):
        message.clock.sec = BASE_NS // 1_000_000_000
        clock.publish(message)
        graph.wait(lambda: node.get_clock().now().nanoseconds == BASE_NS, "the clock")
        recording.sound(0.0, 1.0)
        stamp_ns = recording.frame(0.9)
        graph.wait(lambda n=loop: len(masks) > 2 * n, f"the mask of round {loop}")
        assert stamp_to_ns(masks[-1].header.stamp) == stamp_ns and read_mask(masks[-1]).any()
        message.clock.sec += 2
        clock.publish(message)
        graph.wait(lambda: node.get_clock().now().nanoseconds > BASE_NS, "the clock")
        recording.sound(1.0, 1.0)
        recording.frame(1.9)
        graph.wait(lambda n=loop: len(masks) == 2 * n + 2, "its mask")
    assert graph.wait(lambda: values(latest.get("stream")).get("jumps_back") == "2")


class FailingSegmenter(BrightnessSegmenter):
    """Fails on demand, as a GPU that lost its memory would."""

    failing = False

    def step(self, frame: Any, window: Any, stamp_ns: int) -> Any:
        if self.failing:
            raise RuntimeError("CUDA out of memory")
        return super().step(frame, window, stamp_ns)


def test_a_failing_model_is_reported_and_recovers(graph: NodeGraph) -> None:
    segmenter = FailingSegmenter()
    start(graph, segmenter)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 9.0)
    segmenter.failing = True
    recording.frame(1.0)
    graph.wait(lambda: (one := latest.get("model")) and one.level == b"\x02", "an error")
    assert "CUDA out of memory" in latest["model"].message
    segmenter.failing = False
    for i in range(40):
        recording.frame(1.1 + 0.1 * i)
        if masks:
            break
        time.sleep(0.05)
    graph.wait(lambda: masks, "a mask after the failure")


class BlockedSegmenter(BrightnessSegmenter):
    """Stays in its step until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.blocking = False
        self.entered, self.go = threading.Event(), threading.Event()

    def step(self, frame: Any, window: Any, stamp_ns: int) -> Any:
        if self.blocking:
            self.entered.set()
            assert self.go.wait(30)
        return super().step(frame, window, stamp_ns)


def test_services_answer_while_the_model_works(graph: NodeGraph) -> None:
    segmenter = BlockedSegmenter()
    start(graph, segmenter)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 9.0)
    segmenter.blocking = True
    recording.frame(1.0)
    assert segmenter.entered.wait(20)
    for i in range(5):
        recording.frame(2.0 + i * 0.1)
        graph.wait(lambda i=i: values(latest.get("stream")).get("frames_received") == str(2 + i))
    (result,) = graph.set_parameters(NODE, threshold=0.4)
    assert result.successful
    segmenter.blocking = False
    segmenter.go.set()
    graph.wait(lambda: len(masks) == 2, "the first and the newest frame's masks")
    assert stamp_to_ns(masks[1].header.stamp) == BASE_NS + 2_400_000_000
    graph.wait(lambda: values(latest.get("stream")).get("dropped_busy") == "4")


def test_sound_that_comes_late_is_explained(graph: NodeGraph) -> None:
    start(graph, deadline=0.0)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    errors = graph.listen("std_msgs/msg/Float64", f"{NODE}/debug/sync_error_ms")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 1.0)
    graph.wait(lambda: values(latest.get("stream")).get("audio_chunks") == "1", "the sound")
    seen = []
    for i in range(20):
        recording.frame(1.25 + i * 0.001)
        graph.wait(lambda i=i: len(masks) > i and len(errors) > i, "a mask")
        seen.append(latest["stream"].message if latest.get("stream") else "")
        if any("deadline" in text for text in seen):
            break
        time.sleep(0.05)
    assert errors[0].data == pytest.approx(250.0, abs=1.0)
    assert any("deadline" in text for text in seen)


def test_bytes_that_only_break_in_the_decoder_are_counted(graph: NodeGraph) -> None:
    start(graph)
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
