"""The segmentation node as others on the graph see it: topics in, answers out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fakes import BlockedSegmenter, BrightnessSegmenter
from node_graph import (
    BASE_NS,
    IMAGE,
    SEGMENTATION,
    NodeGraph,
    Recording,
    lamp,
    pages,
    start_segmentation,
    values,
)
from rclpy.parameter import Parameter
from ros_packages import get_message

from avs_ros.conversions import topics
from avs_ros.conversions.camera import make_camera_info, read_ray
from avs_ros.conversions.detections import read_detections
from avs_ros.conversions.image_reading import compressed_to_rgb, image_to_rgb, read_mask
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.nodes.message_types import ROS


def test_the_gate_in_force_is_on_diagnostics(graph: NodeGraph) -> None:
    latest = pages(graph)
    node = start_segmentation(graph, sounding_threshold=0.6)

    def said(option: str) -> str:
        return values(latest.get("model")).get(f"gate {option}", "")

    graph.wait(lambda: said("sounding_threshold") == "0.6 (parameter)", "the gate")
    assert said("silence_dbfs") == "-60 (default)"
    assert said("category_thresholds") == "none (default)"
    node.set_parameters([Parameter("hold", value=2.0)])
    graph.wait(lambda: said("hold") == "2 (parameter)", "the change")


def test_every_output_carries_the_header_of_its_frame(graph: NodeGraph) -> None:
    heard = {
        name: graph.listen(type_name, f"{SEGMENTATION}/{name}")
        for name, type_name in {
            "mask": IMAGE, "label_mask": IMAGE, "label_mask_color": IMAGE, "probability": IMAGE,
            "overlay": IMAGE, "overlay/compressed": "sensor_msgs/msg/CompressedImage",
            "detections": "vision_msgs/msg/Detection2DArray",
            "attention": "geometry_msgs/msg/PointStamped",
        }.items()
    }
    figures = {
        name: graph.listen("std_msgs/msg/Float64", f"{SEGMENTATION}/debug/{name}")
        for name in ("latency_ms", "processing_ms", "sync_error_ms")
    }
    labels = graph.listen(
        "vision_msgs/msg/LabelInfo", f"{SEGMENTATION}/label_info", 1, latched=True)
    start_segmentation(graph)
    recording = Recording(graph)
    camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
    recording.wait_for_node()
    graph.wait(camera.get_subscription_count, "a subscription to camera_info")
    info = make_camera_info(ROS, make_header(ROS, BASE_NS, "camera_optical_frame"), 64, 48, 1.0)
    camera.publish(info)
    stamps: list[int] = []

    def looked() -> bool:
        """Send the next frame, with its sound, and wait for its mask."""
        at_s = 1.0 + len(stamps) * 0.1
        seconds = 0.1 if stamps else 1.0
        recording.sound(at_s - seconds, seconds)
        stamps.append(recording.frame(at_s))
        camera.publish(info)
        graph.wait(lambda: len(heard["mask"]) == len(stamps), "a mask")
        return bool(heard["attention"])

    # The first frames may overtake camera_info.
    graph.wait(looked, "the attention")
    stamp_ns = stamps[-1]
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
    start_segmentation(graph)
    detections = graph.listen("vision_msgs/msg/Detection2DArray", f"{SEGMENTATION}/detections")
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 4.0)
    for i in range(3):
        recording.frame(1.0 + i * 0.1)
        graph.wait(lambda i=i: len(detections) > i, "detections")
    assert not drawn
    overlay = graph.listen(IMAGE, f"{SEGMENTATION}/overlay")

    def drawn_now() -> bool:
        sent = len(detections)
        recording.sound(4.0 + sent * 0.1, 0.1)
        recording.frame(1.5 + sent * 0.1)
        graph.wait(lambda: len(detections) > sent, "detections")
        return bool(overlay)

    graph.wait(drawn_now, "an overlay")
    assert drawn


def test_latency_is_measured_in_simulated_time(graph: NodeGraph) -> None:
    start_segmentation(graph, use_sim_time=True)
    latency = graph.listen("std_msgs/msg/Float64", f"{SEGMENTATION}/debug/latency_ms")
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
    start_segmentation(graph, segmenter)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
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
    start_segmentation(graph, use_sim_time=True)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
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
    start_segmentation(graph, segmenter)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 9.0)
    segmenter.failing = True
    recording.frame(1.0)
    graph.wait(lambda: (one := latest.get("model")) and one.level == b"\x02", "an error")
    assert "CUDA out of memory" in latest["model"].message
    segmenter.failing = False
    recording.frame(2.0)
    graph.wait(lambda: masks, "a mask after the failure")


def test_services_answer_while_the_model_works(graph: NodeGraph) -> None:
    segmenter = BlockedSegmenter()
    start_segmentation(graph, segmenter)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
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
    (result,) = graph.set_parameters(SEGMENTATION, threshold=0.4)
    assert result.successful
    segmenter.blocking = False
    segmenter.go.set()
    graph.wait(lambda: len(masks) == 2, "the first and the newest frame's masks")
    assert stamp_to_ns(masks[1].header.stamp) == BASE_NS + 2_400_000_000
    graph.wait(lambda: values(latest.get("stream")).get("dropped_busy") == "4")


def test_sound_that_comes_late_is_explained(graph: NodeGraph) -> None:
    start_segmentation(graph, deadline=0.0)
    masks = graph.listen(IMAGE, f"{SEGMENTATION}/mask")
    errors = graph.listen("std_msgs/msg/Float64", f"{SEGMENTATION}/debug/sync_error_ms")
    latest = pages(graph)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 1.0)
    graph.wait(lambda: values(latest.get("stream")).get("audio_chunks") == "1", "the sound")
    sent = 0

    def told() -> bool:
        nonlocal sent
        sent += 1
        recording.frame(1.25 + (sent - 1) * 0.001)
        graph.wait(lambda: len(masks) == len(errors) == sent, "a mask")
        return "deadline" in latest["stream"].message

    graph.wait(told, "the deadline on /diagnostics")
    assert errors[0].data == pytest.approx(250.0, abs=1.0)
