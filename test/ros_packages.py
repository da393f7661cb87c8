"""What a test needs of ROS 2: the message classes by name, and a skip where they are absent."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# Must be installed together, as `make` does; anything less is a mistake to be told.
PACKAGES = (
    "rclpy", "sensor_msgs", "diagnostic_msgs", "std_srvs", "lifecycle_msgs", "rosgraph_msgs",
    "vision_msgs", "audio_common_msgs", "foxglove_msgs",
)


def require_ros() -> None:
    """Skip the test, or the test file that calls this, where ROS 2 is not installed.

    With AVS_REQUIRE_ROS=1 in the environment the skip becomes a failure (see conftest.py).
    """
    for package in PACKAGES:
        pytest.importorskip(
            package, reason=f"ROS 2 is not installed here ({package} is missing): run make"
        )


def get_message(name: Any) -> Any:
    """The class of ``package/msg/Name``, or of ``package/srv/Name``; a class as it is."""
    if not isinstance(name, str):
        return name
    package, kind, class_name = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), class_name)


get_service = get_message


def ros_drivers_environment() -> dict[str, str]:
    """Environment of a process that sees ros-drivers' ``audio_common_msgs``, not mgonzs13's.

    Skips where ``make`` has not built it into its prefix (see tools/ros_wheels.py).
    """
    require_ros()
    prefix = Path(sys.prefix, "ros_drivers")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = prefix / "lib" / version / "site-packages"
    if not (packages / "audio_common_msgs").is_dir():
        pytest.skip(f"ROS 2's other audio_common_msgs is not built here ({packages}): run make")
    # This project's own code, wherever it is imported from in this process.
    project = Path(__file__).resolve().parents[1]
    paths = (str(packages), str(project), os.environ.get("PYTHONPATH"))
    libraries = (str(prefix / "lib"), os.environ.get("LD_LIBRARY_PATH"))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "AMENT_PREFIX_PATH": str(prefix),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        # Keeps the wheels from putting LD_LIBRARY_PATH into an order of their own.
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    }
