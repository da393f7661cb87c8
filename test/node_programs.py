"""Nodes as processes of their own, as `ros2 run` starts them, and what they say at their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAIN = "import sys; from avs_ros.nodes.{name} import main; sys.exit(main(sys.argv))"
# The real segmentation node, with a model that needs no weights; one that loads for an hour is
# not waited for as long as a node usually waits for its callbacks.
BRIGHTNESS = """
import sys, time
sys.path.insert(0, {here!r})
from fakes import BrightnessSegmenter
from avs_ros.nodes import entry_point
from avs_ros.nodes.segmentation_node import SegmentationNode

def create(parameters):
    time.sleep({load_s})
    return BrightnessSegmenter()

if {load_s}:
    entry_point.SHUTDOWN_TIMEOUT_S = 0.5
sys.exit(entry_point.run_node(lambda: SegmentationNode(create_segmenter=create), sys.argv))
"""


class NodeProgram:
    """One process; ``end`` sends a signal and gives what it said on stderr."""

    def __init__(self, name: str, *arguments: str, load_s: float = 0.0) -> None:
        """Start ``name`` with the ROS ``arguments``; ``brightness`` is a segmentation node."""
        code = MAIN.format(name=name)
        if name == "brightness":
            code = BRIGHTNESS.format(here=str(HERE), load_s=load_s)
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--ros-args", *arguments], text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGINT, timeout_s: float = 60.0) -> str:
        """Send the signal, wait; fails unless the node ends with status 0 and no complaint."""
        self.process.send_signal(number)
        return self.ended(timeout_s)

    def ended(self, timeout_s: float = 60.0) -> str:
        """Wait for an end of its own accord; what it said on stderr."""
        _, said = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, f"status {self.process.returncode}:\n{said}"
        for word in ("Traceback", "[ERROR]", "Exception", "context is invalid", "Failed to"):
            assert word not in said, said
        return said

    def kill(self) -> None:
        """Whatever happens, it is gone after the test."""
        if self.running:
            self.process.kill()
        self.process.communicate()
