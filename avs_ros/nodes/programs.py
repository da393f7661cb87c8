"""What `ros2 run` starts: programs that can be interrupted while they load their libraries."""

from __future__ import annotations

import importlib
import signal
import sys


def _run(name: str) -> int:
    """Import the node and run it.

    Its libraries take a second or more to load; SIGINT in that time would be a traceback of
    whatever import it struck.  :func:`~avs_ros.nodes.entry_point.run_node` takes signals over.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(0))
    return int(importlib.import_module(f"avs_ros.nodes.{name}").main())


def segmentation_node() -> int:
    """Which pixels are making the sound, and what they are."""
    return _run("segmentation_node")


def microphone_node() -> int:
    """A microphone as an audio topic."""
    return _run("microphone_node")


def player_node() -> int:
    """A video file or a bag as camera and microphone topics."""
    return _run("player_node")


def attention_node() -> int:
    """A target for the robot to look at."""
    return _run("attention_node")


def evaluator_node() -> int:
    """Answers and truth -> scores, while a bag plays."""
    return _run("evaluator_node")
