"""avs.launch.py on an installed ROS 2: the node comes up by itself, answers and ends well.

Run by `colcon test` or `launch_test`; skipped where ROS 2 or the built package is absent.
"""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
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
from sensor_msgs.msg import Image  # noqa: E402

from avs_ros.conversions.audio import AUDIO_TYPES, make_audio  # noqa: E402
from avs_ros.conversions.image_writing import make_image  # noqa: E402
from avs_ros.conversions.messages import make_header  # noqa: E402
from avs_ros.nodes.message_types import (  # noqa: E402
    ROS,
    interface,
    published_audio_type,
)

try:
    SHARE = packages.get_package_share_directory("avs_ros")
except packages.PackageNotFoundError:
    pytest.skip("the package is not built and sourced", allow_module_level=True)

NAMESPACE = "/launch_test"
NODE = f"{NAMESPACE}/segmentation_node"
TIMEOUT_S = 120.0
RATE = 16000
AUDIO_TYPE = published_audio_type("auto")


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """Start what a user starts, on the topics of a camera driver."""
    arguments = {
        "namespace": NAMESPACE, "image": "/launch_test_camera/image_raw", "device": "cpu",
        "audio_type": AUDIO_TYPE,
    }
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(f"{SHARE}/launch/avs.launch.py"),
            launch_arguments=list(arguments.items()),
        ),
        launch_testing.actions.ReadyToTest(),
    ])


class TestSegmentation(unittest.TestCase):
    """While the launch file runs."""

    def setUp(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("launch_test", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def tearDown(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + TIMEOUT_S
        while not (value := condition()):
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}")
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def call(self, kind: str, name: str, **fields: Any) -> Any:
        service = interface(kind)
        client = self.node.create_client(service, name)
        self.until(client.service_is_ready, name)
        asked: list[Any] = []
        began = time.monotonic()

        def answer() -> Any:
            # An answer is lost where the server has not yet discovered this end.
            if time.monotonic() >= began + 5.0 * len(asked):
                asked.append(client.call_async(service.Request(**fields)))
            return next((one for one in asked if one.done()), None)

        done = self.until(answer, name)
        self.node.destroy_client(client)
        return done.result()

    def until_active(self) -> None:
        def active() -> bool:
            state = self.call("lifecycle_msgs/srv/GetState", f"{NODE}/get_state")
            return bool(state.current_state.label == "active")

        self.until(active, "the active state")

    def test_the_arguments_arrive_as_parameters(self) -> None:
        values = self.call(
            "rcl_interfaces/srv/GetParameters", f"{NODE}/get_parameters",
            names=["device", "audio_type", "model"]).values
        self.assertEqual(
            [one.string_value for one in values], ["cpu", AUDIO_TYPE, "c3n_light"])

    def test_each_frame_is_answered_under_its_own_header(self) -> None:
        self.until_active()
        masks: list[Any] = []
        self.node.create_subscription(Image, f"{NODE}/mask", masks.append, 10)
        camera = self.node.create_publisher(Image, "/launch_test_camera/image_raw", 1)
        microphone = self.node.create_publisher(
            ROS(AUDIO_TYPES[AUDIO_TYPE]), f"{NAMESPACE}/audio", 50)
        image = np.full((120, 160, 3), 128, np.uint8)
        sound = (0.3 * np.sin(np.arange(RATE // 10) * 0.2)).astype(np.float32)
        sent: set[tuple[int, int]] = set()
        self.until(lambda: camera.get_subscription_count() and microphone.get_subscription_count(),
                   "the node's subscriptions")
        start = time.time_ns()

        def step() -> list[Any]:
            stamp = start + len(sent) * 100_000_000
            header = make_header(ROS, stamp, "test_camera")
            microphone.publish(make_audio(ROS, AUDIO_TYPE, stamp - 100_000_000, sound, RATE))
            camera.publish(make_image(ROS, header, image))
            sent.add((header.stamp.sec, header.stamp.nanosec))
            for _ in range(2):
                self.executor.spin_once(timeout_sec=0.05)
            return masks

        mask = self.until(step, "a mask")[0]
        self.assertIn((mask.header.stamp.sec, mask.header.stamp.nanosec), sent)
        self.assertEqual(mask.header.frame_id, "test_camera")
        self.assertEqual((mask.width, mask.height, mask.encoding), (160, 120, "mono8"))


@launch_testing.post_shutdown_test()
class TestTheEnd(unittest.TestCase):
    """After SIGINT."""

    def test_exit_codes(self, proc_info: Any) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
