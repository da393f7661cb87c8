"""What `ros2 run` starts: programs that can be interrupted while they load their libraries."""

from __future__ import annotations

import importlib
import os
import signal
from functools import partial
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process here and now, with nothing written yet that could be left half done.

    An exception in its place gets lost: in a C extension that is being loaded, in a finaliser, in
    whatever catches everything; and Python's own exit may wait for a half loaded library.
    """
    os._exit(0)


def _run(name: str) -> int:
    """Import the node and run it.

    Its libraries take a second or more to load; SIGINT in that time would be a traceback of
    whatever import it struck.  :func:`~avs_ros.nodes.entry_point.run_node` takes signals over.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    return int(importlib.import_module(f"avs_ros.nodes.{name}").main())


segmentation_node = partial(_run, "segmentation_node")
microphone_node = partial(_run, "microphone_node")
player_node = partial(_run, "player_node")
attention_node = partial(_run, "attention_node")
evaluator_node = partial(_run, "evaluator_node")
