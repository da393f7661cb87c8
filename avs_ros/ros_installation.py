"""Nodes as processes of their own: whether they can run here, who hears them, their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TextIO

from avs_ros.errors import RosError

HOW_TO_GET_ROS = (
    "source ROS 2's setup file and install what is missing, or run `make` in a clone, which "
    "builds a ROS 2 into .venv (it needs g++)"
)
# Not 0, where a robot in the same building may be listening, nor those of the tests (40 on).
_DOMAINS = range(2, 40)
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
    """Raise :class:`RosError`, which says what to do, where the nodes cannot run."""
    if lacks := ros_lacks():
        raise RosError(f"ROS 2 cannot be used here ({lacks}): {HOW_TO_GET_ROS}")


def own_graph(domain: int | None = None) -> dict[str, str]:
    """What to add to the environment of processes that shall hear each other and nobody else.

    They stay on this machine, on DDS ``domain`` (None: one by this process's number).
    """
    if domain is None:
        domain = _DOMAINS[os.getpid() % len(_DOMAINS)]
    return {
        "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }


# How long a process that was asked to end may take.
_END_S = 15.0


@contextmanager
def python_process(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    log: TextIO,
    on_line: Callable[[str], None] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run ``python ARGUMENTS``; with the block it is asked to end (SIGINT), then killed.

    What it says goes to ``log``; each line of its stdout to ``on_line``, in a thread, if given.
    ``environment`` is added to this process's own.
    """
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE if on_line else log, stderr=log,
        stdin=subprocess.DEVNULL, text=True, env={**os.environ, **environment},
        start_new_session=True,
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                if on_line is not None:
                    on_line(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)  # nothing happens where it has ended
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait()
            reader.join(1.0)
