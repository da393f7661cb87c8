"""attention.launch.py on an installed ROS 2: the node comes up on the camera's topics.

Skipped where ROS 2 or the built package is absent.
"""

from __future__ import annotations

import time
import unittest
from typing import Any

import pytest

pytest.importorskip("launch_testing", reason="launch_testing is not installed")
pytest.importorskip("launch_ros", reason="launch_ros is not installed")
packages = pytest.importorskip(
    "ament_index_python.packages", reason="ament_index_python is not installed")

import launch_testing.actions  # noqa: E402
import launch_testing.asserts  # noqa: E402
import rclpy  # noqa: E402
from launch import LaunchDescription  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import String  # noqa: E402

try:
    SHARE = packages.get_package_share_directory("avs_ros")
except packages.PackageNotFoundError:
    pytest.skip("the package is not built and sourced", allow_module_level=True)

NAMESPACE = "/launch_attention"
TIMEOUT_S = 60.0


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """Start the attention node alone: segmentation has a test of its own."""
    arguments = {
        "namespace": NAMESPACE, "segmentation": "false", "image": "/launch_camera/image_raw",
        "choose": "largest",
    }
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f"{SHARE}/launch/attention.launch.py"),
            launch_arguments=list(arguments.items()),
        ),
        launch_testing.actions.ReadyToTest(),
    ])


class TestAttention(unittest.TestCase):
    """While the launch file runs."""

    def test_it_listens_beside_the_camera_and_says_its_state(self) -> None:
        context = Context()
        rclpy.init(context=context)
        node = Node("launch_test", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        states: list[Any] = []
        qos = QoSProfile(
            depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(
            String, f"{NAMESPACE}/attention_node/state",
            states.append, qos)
        end = time.monotonic() + TIMEOUT_S
        while not states or not node.count_subscribers("/launch_camera/camera_info"):
            self.assertLess(time.monotonic(), end, "waited in vain for the attention node")
            executor.spin_once(timeout_sec=0.05)
        self.assertEqual(states[0].data, "nothing_sounding")
        self.assertEqual(
            node.count_subscribers(f"{NAMESPACE}/segmentation_node/detections"), 1)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


@launch_testing.post_shutdown_test()
class TestTheEnd(unittest.TestCase):
    """After SIGINT."""

    def test_exit_codes(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
