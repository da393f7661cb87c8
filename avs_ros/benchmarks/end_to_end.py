"""Through the real node, over DDS on this machine: latency, and what the process costs.

Two processes on a DDS domain of their own, loopback only: the node and a client that drives it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from avs_ros.benchmarks.subject import Subject
from avs_ros.errors import AvsError, RosError
from avs_ros.ros_installation import own_graph, require_ros

_END_S = 15.0
_LAST_LINES = 8
_NODE_ARGUMENTS = (
    "--ros-args", "-p", "autostart:=false", "-p", "image_transport:=raw",
    "-p", "image_qos:=reliable", "-p", "audio_qos:=reliable",
    "-r", "image:=/image", "-r", "audio:=/audio",
)


def measure_node(
    subject: Subject,
    engine: str,
    device: str,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None] = lambda arguments: None,
    domain: int | None = None,
) -> dict[str, Any]:
    """Plain values: ``states`` (CPU and memory of the node), ``ms``, ``overhead_ms``.

    ``ms`` holds a :class:`Timing` for ``end_to_end`` (frame published -> mask received) and for
    ``bare_step``, taken in turns.  ``seconds``: how long each state is watched.  Raises
    RosError where the node does not answer.
    """
    require_ros()
    environment = {**os.environ, **own_graph(domain)}
    values = json.dumps(subject.values())
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        arguments = [
            "-m",
            "avs_ros.nodes.benchmark_subject",
            values,
            engine,
            device,
            *_NODE_ARGUMENTS,
        ]
        with _process(arguments, environment, log, log) as node:
            spec = {
                "subject": subject.values(), "engine": engine, "device": device,
                "pid": node.pid, "rounds": rounds, "seconds": seconds,
            }
            arguments = ["-m", "avs_ros.nodes.benchmark_client", json.dumps(spec)]
            with _process(arguments, environment, log, subprocess.PIPE) as client:
                try:
                    return _result(client, tell)
                except AvsError as error:
                    raise RosError(f"{error}{_tail(log)}") from error


def _result(client: subprocess.Popen[str], tell: Callable[[str], None]) -> dict[str, Any]:
    for line in client.stdout or ():
        arguments = json.loads(line)
        if "result" in arguments:
            result: dict[str, Any] = arguments["result"]
            return result
        if "error" in arguments:
            raise RosError(str(arguments["error"]))
        tell(arguments["doing"])
    raise RosError(f"the measuring process has ended, status {client.wait()}")


@contextlib.contextmanager
def _process(
    arguments: list[str], environment: dict[str, str], log: TextIO, out: TextIO | int
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=out, stderr=log, text=True,
        stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _tail(log: TextIO) -> str:
    log.seek(0)
    lines = log.read().splitlines()[-_LAST_LINES:]
    return "; the processes said:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
