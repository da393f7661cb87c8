"""Player, node with the bundled model, and recorder: three processes over DDS on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from node_graph import NodeGraph, tone

from avs_ros.conversions import read_mask, stamp_to_ns
from avs_ros.media.video_writer import VideoWriter

IMAGE = "sensor_msgs/msg/Image"
FPS, SECONDS = 10, 3.0


@pytest.fixture
def graph() -> Iterator[NodeGraph]:
    graph = NodeGraph()
    yield graph
    graph.close()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    writer = VideoWriter(tmp_path / "clip.mp4", 128, 96, FPS, 16000, 1)
    rng = np.random.default_rng(3)
    scene = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    for number in range(round(FPS * SECONDS)):
        writer.frame(10**9 + number * 10**9 // FPS, np.roll(scene, number, axis=1))
    writer.sound(10**9, tone(SECONDS), 16000)
    writer.close()
    return tmp_path / "clip.mp4"


def run(node: str, *parameters: str) -> subprocess.Popen[bytes]:
    code = f"import sys; from avs_ros.nodes.{node} import main; sys.exit(main(sys.argv))"
    arguments = [part for one in parameters for part in ("-p", one)]
    return subprocess.Popen(
        [sys.executable, "-c", code, "--ros-args", "-p", "use_sim_time:=true", *arguments],
        stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_what_is_played_comes_back_as_masks(graph: NodeGraph, video: Path) -> None:
    masks = graph.listen(IMAGE, "/segmentation_node/mask")
    images = graph.listen(IMAGE, "image")
    labels = graph.listen(
        "vision_msgs/msg/LabelInfo", "/segmentation_node/label_info", 1, latched=True)
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout")
    node = run("segmentation_node", "engine:=torch", "device:=cpu")
    player = None
    try:
        graph.wait(lambda: labels or node.poll() is not None, "the model", 120.0)
        assert node.poll() is None, node.communicate()[1].decode()
        assert len(labels[0].class_map) > 50
        player = run(
            "player_node", f"input:={video}", "wait_for_subscribers:=30.0",
            "exit_when_done:=true", "use_sim_time:=false")
        assert player.wait(120) == 0
        graph.wait(lambda: masks, "a mask")
        shown = {stamp_to_ns(msg.header.stamp): msg for msg in images}
        for mask in masks:
            assert mask.header.frame_id == "camera_optical_frame"
            assert stamp_to_ns(mask.header.stamp) in shown
            assert read_mask(mask).shape == (96, 128)
        assert not [one for one in log if one.level >= 40], [one.msg for one in log]
        node.send_signal(signal.SIGINT)
        complaint = node.communicate(timeout=30)[1].decode()
        assert node.returncode == 0 and "Traceback" not in complaint, complaint
    finally:
        for process in filter(None, (node, player)):
            process.kill()
