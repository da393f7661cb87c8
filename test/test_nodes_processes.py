"""Player, node, recorder, attention and evaluator: real processes over DDS on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from node_graph import NodeGraph, lamp, tone
from node_programs import NodeProgram
from rosbags.highlevel import AnyReader

from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.media.video_writer import VideoWriter

IMAGE = "sensor_msgs/msg/Image"
MASK = "/segmentation_node/mask"
FPS, SECONDS = 10, 3.0
START_S = 120.0  # a process, or a model, on a busy machine


def film(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    writer = VideoWriter(path, width, height, FPS, 16000, 1)
    for number, frame in enumerate(frames):
        writer.frame(10**9 + number * 10**9 // FPS, frame)
    writer.sound(10**9, tone(SECONDS), 16000)
    writer.close()
    return path


@pytest.fixture
def programs() -> Iterator[list[NodeProgram]]:
    started: list[NodeProgram] = []
    yield started
    for program in started:
        program.kill()


def test_what_is_played_comes_back_as_masks(
    graph: NodeGraph, tmp_path: Path, programs: list[NodeProgram]
) -> None:
    scene = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    frames = [np.roll(scene, number, axis=1) for number in range(round(FPS * SECONDS))]
    video = film(tmp_path / "clip.mp4", frames)
    masks = graph.listen(IMAGE, MASK)
    labels = graph.listen(
        "vision_msgs/msg/LabelInfo", "/segmentation_node/label_info", 1, latched=True)
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
    node = NodeProgram("segmentation_node", "-p", "use_sim_time:=true", "-p", "engine:=torch",
                       "-p", "device:=cpu")
    programs.append(node)
    graph.wait(lambda: labels or not node.running, "the model", START_S)
    assert node.running, node.ended()
    assert len(labels[0].class_map) > 50
    player = NodeProgram("player_node", "-p", f"input:={video}", "-p", "exit_when_done:=true",
                         "-p", "wait_for_subscribers:=60.0", "-p", "start_stamp:='1000.0'")
    programs.append(player)
    assert "played 30 images" in player.ended(START_S)
    graph.wait(lambda: masks, "a mask")
    for mask in masks:
        assert mask.header.frame_id == "camera_optical_frame"
        number = (stamp_to_ns(mask.header.stamp) - 1000 * 10**9) * 1e-9 * FPS
        assert round(number) in range(30) and number == pytest.approx(round(number), abs=0.01)
        assert read_mask(mask).shape == (96, 128)
    assert not [one for one in log if one.level >= 40], [one.msg for one in log]
    node.end(signal.SIGINT)


def test_five_nodes_work_together(
    graph: NodeGraph, tmp_path: Path, programs: list[NodeProgram]
) -> None:
    """All on simulated time; the evaluator scores the masks against themselves."""
    video = film(tmp_path / "lamp.mp4", [lamp()] * round(FPS * SECONDS))
    states = graph.listen("std_msgs/msg/String", "/attention_node/state", 20, latched=True)
    targets = graph.listen("geometry_msgs/msg/PointStamped", "/attention_node/target")
    masks = graph.listen(IMAGE, MASK, 100)
    sim = ("-p", "use_sim_time:=true")
    looks = NodeProgram(
        "attention_node", *sim, "-p", "dwell:=0.0",
        "-r", "detections:=segmentation_node/detections",
        "-r", "label_mask:=segmentation_node/label_mask")
    scores = NodeProgram(
        "evaluator_node", *sim, "-p", f"output:={tmp_path / 'out'}", "-p", "wait:=0.3",
        "-r", "mask:=segmentation_node/mask", "-r", "ground_truth/mask:=segmentation_node/mask",
        "-r", "detections:=segmentation_node/detections",
        "-r", "probability:=segmentation_node/probability")
    node = NodeProgram("brightness", *sim)
    programs += [looks, scores, node]
    bag = tmp_path / "answers.mcap"
    recorder = subprocess.Popen(
        [sys.executable, "-m", "avs_ros.nodes.recorder_node", str(bag), "--topic", MASK, IMAGE],
        stdout=subprocess.DEVNULL, env=os.environ)
    try:
        graph.wait(
            # This one's, the recorder's and the evaluator's two.
            lambda: graph.tester.count_subscribers(MASK) == 4
            and graph.tester.count_publishers("/attention_node/state"), "everybody", START_S)
        player = NodeProgram(
            "player_node", "-p", f"input:={video}", "-p", "exit_when_done:=true",
            "-p", "wait_for_subscribers:=60.0")
        programs.append(player)
        assert "played 30 images" in player.ended(START_S)
        graph.wait(lambda: [one for one in masks if read_mask(one).any()], "a mask")
        graph.wait(lambda: targets, "a target")
        assert [one for one in states if one.data == "looking"]
        ray = targets[-1].point
        # The lamp's middle (30, 20) is left of and above the middle (32, 24).
        assert ray.x < 0 and ray.y < 0 and ray.z > 0.9
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(60) == 0
    finally:
        if recorder.poll() is None:
            recorder.kill()
        recorder.wait()
    with AnyReader([bag]) as reader:
        recorded = [
            stamp_to_ns(reader.deserialize(raw, connection.msgtype).header.stamp)
            for connection, _, raw in reader.messages()]
    # Whom the node discovers later has missed the first masks, but none of the last second's.
    heard = [stamp_to_ns(one.header.stamp) for one in masks]
    since = heard[-1] - 10**9
    assert {one for one in recorded if one > since} == {one for one in heard if one > since}
    assert "written to" in scores.end(signal.SIGTERM)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 < metrics["frames"] <= 30 and metrics["m_j"] == pytest.approx(1.0)
    for program in (looks, node):
        program.end(signal.SIGINT)
