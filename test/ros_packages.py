"""What a test needs of ROS 2: the message classes by name, and a skip where they are absent."""

from __future__ import annotations

import importlib
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
