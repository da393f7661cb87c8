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

pytest.importorskip("launch_testing", reason="ROS 2 is not installed")
pytest.importorskip("launch_ros", reason="ROS 2 is not installed")
packages = pytest.importorskip("ament_index_python.packages", reason="ROS 2 is not installed")

import launch_testing.actions  # noqa: E402
import launch_testing.asserts  # noqa: E402
from avs_ros.middleware import get_message, get_service, rclpy  # noqa: E402
from launch import LaunchDescription  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402

from avs_ros.conversions import make_audio, make_header, rgb_to_image  # noqa: E402
from avs_ros.nodes.message_types import ROS  # noqa: E402

try:
    SHARE = packages.get_package_share_directory("avs_ros")
except packages.PackageNotFoundError:
    pytest.skip("the package is not built and sourced", allow_module_level=True)

NAMESPACE = "/launch_test"
NODE = f"{NAMESPACE}/segmentation_node"
PATIENCE = 120.0
RATE = 16000


def audio_type() -> str:
    """A family whose message package is installed."""
    for name, kind in (("RawAudio", "foxglove_msgs/msg/RawAudio"),
                       ("AudioDataStamped", "audio_common_msgs/msg/AudioDataStamped")):
        try:
            get_message(kind)
        except Exception:  # each middleware has its own error for an unknown package
            continue
        return name
    pytest.skip("neither foxglove_msgs nor audio_common_msgs is installed",
                allow_module_level=True)
    raise AssertionError


AUDIO_TYPE = audio_type()


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
        self.context = rclpy.context.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.node.Node("launch_test", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def tearDown(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (value := condition()):
            self.assertLess(time.monotonic(), end, f"waited in vain for {what}")
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def call(self, kind: str, name: str, **fields: Any) -> Any:
        service = get_service(kind)
        client = self.node.create_client(service, name)
        self.until(client.service_is_ready, name)
        future = client.call_async(service.Request(**fields))
        self.until(future.done, name)
        self.node.destroy_client(client)
        return future.result()

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
        self.node.create_subscription(
            get_message("sensor_msgs/msg/Image"), f"{NODE}/mask", masks.append, 10)
        camera = self.node.create_publisher(
            get_message("sensor_msgs/msg/Image"), "/launch_test_camera/image_raw", 1)
        kind = {"RawAudio": "foxglove_msgs/msg/RawAudio",
                "AudioDataStamped": "audio_common_msgs/msg/AudioDataStamped"}[AUDIO_TYPE]
        microphone = self.node.create_publisher(get_message(kind), f"{NAMESPACE}/audio", 50)
        picture = np.full((120, 160, 3), 128, np.uint8)
        sound = (0.3 * np.sin(np.arange(RATE // 10) * 0.2)).astype(np.float32)
        sent: set[tuple[int, int]] = set()
        self.until(lambda: camera.get_subscription_count() and microphone.get_subscription_count(),
                   "the node's subscriptions")
        start = time.time_ns()

        def step() -> list[Any]:
            stamp = start + len(sent) * 100_000_000
            header = make_header(ROS, stamp, "test_camera")
            microphone.publish(make_audio(ROS, AUDIO_TYPE, stamp - 100_000_000, sound, RATE))
            camera.publish(rgb_to_image(ROS, header, picture))
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
