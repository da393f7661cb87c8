"""What `ros2 run` starts: programs that can be interrupted while they load their libraries."""

from __future__ import annotations

import importlib
import signal
import sys
from functools import partial
from types import FrameType


def _run(name: str) -> int:
    """Import the node and run it.

    Its libraries take a second or more to load; SIGINT in that time would be a traceback of
    whatever import it struck.  :func:`~avs_ros.nodes.entry_point.run_node` takes signals over.
    """
    asked: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        sys.exit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    try:
        node = importlib.import_module(f"avs_ros.nodes.{name}")
    except Exception:
        # A C extension that is being loaded turns the exit into an ImportError.
        if asked:
            return 0
        raise
    # A library that catches everything, or a finaliser, may have swallowed the exit.
    return 0 if asked else int(node.main())


segmentation_node = partial(_run, "segmentation_node")
microphone_node = partial(_run, "microphone_node")
player_node = partial(_run, "player_node")
attention_node = partial(_run, "attention_node")
evaluator_node = partial(_run, "evaluator_node")
