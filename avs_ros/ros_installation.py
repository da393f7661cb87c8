"""Whether the nodes can run here, asked without importing ROS 2 into this process."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

from avs_ros.errors import MiddlewareError

HOW_TO_GET_ROS = (
    "source ROS 2's setup file and install what is missing, or run `make` in a clone, which "
    "builds a ROS 2 into .venv (it needs g++)"
)
# What a live run starts, and a sound type for it to speak.
_TRY = """
import avs_ros.nodes.segmentation_node, avs_ros.nodes.player_node, avs_ros.nodes.recorder_node
from avs_ros.nodes.message_types import published_audio_type
published_audio_type("auto")
"""


@cache
def ros_lacks() -> str:
    """Why the nodes cannot run with this Python, as it says it itself; "" where they can."""
    done = subprocess.run(
        [sys.executable, "-c", _TRY], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"Python ended with status {done.returncode}"]
    return lines[-1].partition("Error: ")[2] or lines[-1]


def require_ros() -> None:
    """Raise :class:`MiddlewareError`, which says what to do, where the nodes cannot run."""
    if lacks := ros_lacks():
        raise MiddlewareError(f"ROS 2 cannot be used here ({lacks}): {HOW_TO_GET_ROS}")
