"""How a node's program ends: after its callbacks, at once where one hangs, with a status."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from ros_packages import require_ros

require_ros()

BUSY = """
import sys, time
from rclpy.node import Node
from avs_ros.nodes import entry_point

class Busy(Node):
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

entry_point.SHUTDOWN_TIMEOUT_S = {patience}
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


@pytest.mark.parametrize("times", [1, 3])
def test_a_node_ends_after_its_callback_and_once(times: int) -> None:
    # `ros2 launch` passes on an interrupt that the terminal has sent already.
    status, printed, complaint = interrupt(times, seconds=1.0, patience=30.0)
    assert (status, complaint) == (0, "")
    assert printed[-1] == "destroyed" and printed.count("destroyed") == 1
    assert "ended" in printed


def test_a_callback_that_does_not_end_holds_nobody_up() -> None:
    status, printed, complaint = interrupt(1, seconds=600.0, patience=0.2)
    assert (status, complaint) == (0, "")
    assert "destroyed" not in printed


FAILS = """
import sys
from rclpy.node import Node
from avs_ros.nodes.entry_point import run_node

class Fails(Node):
    def __init__(self):
        super().__init__("fails")
        self.create_timer(0.01, self.work)

    def work(self):
        raise RuntimeError("a mistake of our own")

sys.exit(run_node(Fails, {arguments}))
"""


def test_a_mistake_of_our_own_is_no_quiet_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILS.format(arguments=[])], text=True, capture_output=True,
        timeout=120, check=False)
    assert done.returncode == 1 and "RuntimeError: a mistake of our own" in done.stderr


def test_wrong_arguments_are_one_message() -> None:
    arguments = ["fails", "--ros-args", "-p", "nothing"]
    done = subprocess.run(
        [sys.executable, "-c", FAILS.format(arguments=arguments)], text=True, capture_output=True,
        timeout=120, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "nothing" in done.stderr
