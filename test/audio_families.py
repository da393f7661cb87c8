"""Sound families in tests: the one that is installed, and the other one in its own prefix."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from avs_ros.conversions import AUDIO_TYPES
from avs_ros.errors import MessageTypeError
from avs_ros.nodes.message_types import interface, published_audio_type

# What a publisher takes by itself here.
PUBLISHED = published_audio_type("auto")
PUBLISHED_TYPE = AUDIO_TYPES[PUBLISHED]


def need(audio_type: str) -> None:
    """Skip where the family of ``audio_type`` is not the installed one."""
    try:
        interface(AUDIO_TYPES[audio_type])
    except MessageTypeError:
        pytest.skip(f"{audio_type} is of the other family: see test_nodes_audio_families.py")


def ros_drivers() -> dict[str, str]:
    """The environment of a process for which ros-drivers' family is the installed one.

    It cannot be this process: two packages share one name.
    """
    prefix = Path(sys.prefix) / "ros_drivers"
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = prefix / "lib" / python / "site-packages"
    if not (packages / "audio_common_msgs").is_dir():
        pytest.skip("the second audio_common_msgs of the ROS 2 build is not there: run make")

    def first(variable: str, path: Path) -> str:
        return os.pathsep.join(filter(None, (str(path), os.environ.get(variable))))

    return {
        **os.environ,
        "AMENT_PREFIX_PATH": first("AMENT_PREFIX_PATH", prefix),
        "PYTHONPATH": first("PYTHONPATH", packages),
        "LD_LIBRARY_PATH": first("LD_LIBRARY_PATH", prefix / "lib"),
    }
