"""Player, node with the bundled model, and recorder: three processes over DDS on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


BUSY = """
import sys, time
from avs_ros.nodes import entry_point
from avs_ros.middleware import rclpy

class Busy(rclpy.node.Node):
    def __init__(self):
        super().__init__("busy")
        self.create_timer(0.01, self.work)

    def work(self):
        sys.stdout.write("working\\n")
        sys.stdout.flush()
        time.sleep({seconds})
        sys.stdout.write("ended\\n")

    def destroy_node(self):
        sys.stdout.write("destroyed\\n")
        super().destroy_node()

entry_point.PATIENCE_S = {patience}
sys.exit(entry_point.run_node(Busy, []))
"""


def interrupt(times: int, **values: float) -> tuple[int, list[str], str]:
    """SIGINT to a node in the middle of a callback: exit status, what it printed, stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY.format(**values)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    printed, complaint = process.communicate(timeout=60)
    return process.returncode, printed.split(), complaint


def quiet(complaint: str) -> bool:
    """Nothing but what a middleware itself may have to say about its settings."""
    return all(line.startswith("[WARN]") and "[rcl]" in line for line in complaint.splitlines())


@pytest.mark.parametrize("times", [1, 3])
def test_a_node_ends_after_its_callback_and_once(times: int) -> None:
    # `ros2 launch` passes on an interrupt that the terminal has sent already.
    status, printed, complaint = interrupt(times, seconds=1.0, patience=30.0)
    assert (status, quiet(complaint)) == (0, True), complaint
    assert printed[-1] == "destroyed" and printed.count("destroyed") == 1
    assert "ended" in printed


def test_a_callback_that_does_not_end_holds_nobody_up() -> None:
    status, printed, complaint = interrupt(1, seconds=600.0, patience=0.2)
    assert (status, quiet(complaint)) == (0, True), complaint
    assert "destroyed" not in printed
