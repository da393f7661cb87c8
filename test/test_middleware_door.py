"""The door: which middleware one gets, and what it says when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avs_ros.errors import MiddlewareError
from avs_ros.middleware.embedded import rclpy


def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture
def fake_rclpy(tmp_path: Path) -> str:
    """A folder with packages that look like an installed ROS 2 of the Humble kind."""
    package = tmp_path / "rclpy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("callback_groups", "clock", "context", "duration", "exceptions", "executors",
                 "lifecycle", "logging", "node", "parameter", "publisher", "qos", "qos_event",
                 "qos_overriding_options", "serialization", "service", "signals", "subscription",
                 "task", "time", "timer", "utilities"):
        (package / f"{name}.py").write_text("")
    runtime = tmp_path / "rosidl_runtime_py"
    runtime.mkdir()
    (runtime / "__init__.py").write_text("")
    (runtime / "utilities.py").write_text(
        "def get_message(name):\n"
        "    if 'vision' in name: raise ModuleNotFoundError('No module named ' + name)\n"
        "    return 'message ' + name\n"
        "def get_service(name): return 'service ' + name\n")
    return str(tmp_path)


SHOW = ("from avs_ros.middleware import *; import avs_ros.middleware as m;"
        "print(m.MIDDLEWARE, m.rclpy.__name__, m.get_message('std_msgs/msg/String'),"
        " hasattr(m.rclpy, 'qos_event'), hasattr(m.rclpy, 'event_handler'))")


def test_without_ros_it_is_the_embedded_runtime() -> None:
    result = run(SHOW, AVS_ROS_MIDDLEWARE="")
    assert result.stdout.split()[:2] == ["embedded", "avs_ros.middleware.embedded.rclpy"]
    assert result.stdout.split()[-2:] == ["True", "True"]


def test_installed_ros_wins(fake_rclpy: str) -> None:
    result = run(SHOW, PYTHONPATH=fake_rclpy, AVS_ROS_MIDDLEWARE="")
    assert result.stdout.strip() == "rclpy rclpy message std_msgs/msg/String True False"


def test_a_later_ros_is_not_asked_for_what_it_deprecates(fake_rclpy: str) -> None:
    package = Path(fake_rclpy) / "rclpy"
    (package / "event_handler.py").write_text("")
    (package / "qos_event.py").write_text("import warnings; warnings.warn('deprecated')\n")
    result = run(SHOW, PYTHONPATH=fake_rclpy, AVS_ROS_MIDDLEWARE="")
    assert result.stdout.split()[-2:] == ["False", "True"]
    assert result.stderr == ""


def test_a_missing_interface_package_of_ros_is_named(fake_rclpy: str) -> None:
    source = "from avs_ros.middleware import *; get_message('vision_msgs/msg/LabelInfo')"
    result = run(source, PYTHONPATH=fake_rclpy, AVS_ROS_MIDDLEWARE="rclpy", ROS_DISTRO="jazzy")
    assert "apt install ros-jazzy-vision-msgs" in result.stderr


def test_the_variable_decides(fake_rclpy: str) -> None:
    assert run(SHOW, PYTHONPATH=fake_rclpy, AVS_ROS_MIDDLEWARE="embedded").stdout.startswith("emb")
    assert run(SHOW, PYTHONPATH=fake_rclpy, AVS_ROS_MIDDLEWARE="rclpy").stdout.startswith("rclpy")


def test_a_wrong_value_and_a_missing_ros_are_told() -> None:
    wrong = run(SHOW, AVS_ROS_MIDDLEWARE="ros3")
    assert "AVS_ROS_MIDDLEWARE is 'ros3'; it can be 'rclpy' or 'embedded'" in wrong.stderr
    missing = run(SHOW, AVS_ROS_MIDDLEWARE="rclpy")
    assert "source ROS 2's setup file" in missing.stderr


def test_a_sourced_ros_of_another_python_is_told() -> None:
    result = run(SHOW, AVS_ROS_MIDDLEWARE="", ROS_DISTRO="jazzy", AMENT_PREFIX_PATH="/nowhere")
    assert "ROS 2 jazzy is sourced, but this Python cannot import it" in result.stderr


@pytest.mark.parametrize("library", ["cyclonedds", "rosbags"])
def test_a_missing_library_is_named(library: str) -> None:
    source = f"import sys; sys.modules[{library!r}] = None\n{SHOW}"
    result = run(source, AVS_ROS_MIDDLEWARE="embedded")
    assert f"needs {library}, which is not installed" in result.stderr


def test_what_is_left_out_names_ros_2() -> None:
    with pytest.raises(MiddlewareError, match=r"rclpy\.action is not part.*install ROS 2"):
        rclpy.action  # noqa: B018
    assert not hasattr(rclpy, "action")


def test_submodules_are_there_as_attributes() -> None:
    for path in ("node.Node", "lifecycle.LifecycleNode", "qos.QoSProfile", "parameter.Parameter",
                 "time.Time", "duration.Duration", "clock.Clock",
                 "executors.MultiThreadedExecutor",
                 "callback_groups.ReentrantCallbackGroup", "qos_event.SubscriptionEventCallbacks",
                 "event_handler.PublisherEventCallbacks", "logging.get_logger",
                 "qos_overriding_options.QoSOverridingOptions", "utilities.remove_ros_args",
                 "serialization.serialize_message", "task.Future", "signals.SignalHandlerOptions"):
        target: object = rclpy
        for part in path.split("."):
            target = getattr(target, part)
