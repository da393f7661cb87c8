"""A recording through the real segmentation node: recorder, node and player as processes.

They share a DDS domain of their own; what the recorder kept is the result.  ``avs demo`` and
``avs evaluate bag --live`` run on it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from avs_ros.errors import AvsError, RosError
from avs_ros.media.bag_writer import NODE
from avs_ros.ros_installation import own_graph, python_process, require_ros

LAST_LINES = 12
# An engine that is compiled at the first start may take minutes on a busy machine.
START_S = 600.0
SETTLED_S = 1.8
LAST_LINES_S = 15.0
NODE_CODE = "import sys; from avs_ros.nodes.{0} import main; sys.exit(main())"
PLAYER = "player_node"
# The Python that runs the node.
SEGMENTATION_NODE = NODE_CODE.format("segmentation_node")


class RecordedPlay(ExitStack):
    """One pass: :meth:`start`, :meth:`play`, :meth:`settle`; all processes end with the block."""

    def __init__(self, logs: Path, domain: int | None, shown: str) -> None:
        """Logs go to the folder ``logs``; ``domain`` None takes one by the process's number.

        ``shown``: topic of which one message per image is recorded.
        """
        super().__init__()
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._graph, self._shown = logs, own_graph(domain), shown
        self._running: dict[str, subprocess.Popen[str]] = {}
        # What the recorder told: the node's state, and how many messages of each topic came.
        self._state, self._failure = "", ""
        self._counts: dict[str, int] = {}

    def _run(
        self, name: str, arguments: Sequence[str], on_line: Callable[[str], None] | None = None
    ) -> subprocess.Popen[str]:
        log = self.enter_context((self._logs / f"{name}.log").open("w", encoding="utf-8"))
        process = python_process(arguments, self._graph, log, on_line)
        self._running[name] = self.enter_context(process)
        return self._running[name]

    def _check(self) -> None:
        """Raise AvsError, with the last lines of its log, if a process has died."""
        for name, process in self._running.items():
            status = process.poll()
            if status is None or (name == PLAYER and status == 0):
                continue
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            log = self._logs / f"{name}.log"
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
            tail = "\n".join(f"  {line}" for line in lines) or "  (it said nothing)"
            raise AvsError(f"{name} has stopped ({how}); the end of {log}:\n{tail}")

    def _hear(self, line: str) -> None:
        """Take one line of the recorder's."""
        try:
            payload = json.loads(line)
        except ValueError:
            return
        self._state = payload.get("state", self._state)
        self._failure = payload.get("failure", self._failure)
        self._counts = payload.get("counts", self._counts)

    def start(
        self,
        recording: Path,
        topics: Mapping[str, str],
        parameters: Mapping[str, object],
        *,
        sound: str = "",
        latched: Sequence[str] = (),
    ) -> None:
        """Record ``topics`` (name -> type); start the node and wait until it is active.

        ``parameters``: of the node; its input is reliable.  ``sound``: topic on which the player's
        sound is recorded, whatever its type ("": not).
        Raises :class:`AvsError` with the node's own message when it cannot start,
        :class:`RosError` where ROS 2 is not installed.
        """
        require_ros()
        arguments = ["-m", "avs_ros.nodes.recorder_node", str(recording)]
        if sound:
            arguments += ["--sound", sound]
        for name in latched:
            arguments += ["--latched", name]
        for name, type_name in topics.items():
            arguments += ["--topic", name, type_name]
        self._run("recorder", arguments, self._hear)
        told = {**parameters, "image_qos": "reliable", "audio_qos": "reliable"}
        self._run("segmentation_node", ["-c", SEGMENTATION_NODE, *_ros_arguments(told)])
        until = time.monotonic() + START_S
        while self._state != "active":
            self._check()
            if self._failure:
                raise AvsError(f"the segmentation node cannot start: {self._failure}")
            if time.monotonic() > until:
                raise RosError(
                    f"the segmentation node was not active within {START_S:.0f} s; do other "
                    "processes or a firewall hold back UDP on the loopback interface?"
                )
            time.sleep(0.05)

    def play(
        self,
        parameters: Mapping[str, object],
        advance: Callable[[int], None] = lambda images: None,
    ) -> None:
        """Play to the end; ``advance`` hears how many more images have been recorded."""
        told = {**parameters, "wait_for_subscribers": 60.0, "exit_when_done": True}
        arguments = ["-c", NODE_CODE.format(PLAYER), *_ros_arguments(told)]
        player = self._run(PLAYER, [*arguments, "-r", "image:=/image", "-r", "audio:=/audio"])
        done = 0
        while player.poll() is None:
            self._check()
            now = self._counts.get(self._shown, 0)
            advance(now - done)
            done = now
            time.sleep(0.1)

    def settle(self) -> None:
        """Until no new mask has come for a while: long enough for one more diagnostics page.

        Raises :class:`RosError` when not one mask was recorded.
        """
        until = time.monotonic() + LAST_LINES_S
        masks, since = -1, time.monotonic()
        while time.monotonic() < until and time.monotonic() - since < SETTLED_S:
            self._check()
            if (now := self._counts.get(f"{NODE}/mask", 0)) != masks:
                masks, since = now, time.monotonic()
            time.sleep(0.05)
        self._check()
        if not masks:
            raise RosError(
                f"the node has answered none of {self._counts.get(self._shown, 0)} "
                f"images; its log is {self._logs / 'segmentation_node.log'}"
            )


def _ros_arguments(parameters: Mapping[str, object]) -> list[str]:
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments
