"""A recording through the real segmentation node: recorder, node and player as processes.

They share a DDS domain of their own; what the recorder kept is the result.  ``avs demo`` and
``avs evaluate bag --live`` run on it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from avs_ros.errors import AvsError, RosError
from avs_ros.media.bag_writer import NODE
from avs_ros.ros_installation import own_graph, require_ros

LAST_LINES = 12
STOP_S = 10.0


class Child:
    """One running process; everything it says goes to ``log``."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
        may_end: bool = False,
    ) -> None:
        """Start ``python WORDS``; ``on_line`` takes each line of its stdout (else: to the log).

        ``may_end``: status 0 is no death.
        """
        self.name, self.log, self._may_end = name, log, may_end
        self._file = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stderr=self._file,
            stdout=subprocess.PIPE if on_line else self._file, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )
        self._reader: threading.Thread | None = None
        if on_line is not None:
            self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
            self._reader.start()

    def _read(self, on_line: Callable[[str], None]) -> None:
        for line in self._process.stdout or ():
            on_line(line)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise AvsError, with the last lines of its log, if it has died."""
        status = self._process.poll()
        if status is None or (self._may_end and status == 0):
            return
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"  {line}" for line in lines[-LAST_LINES:]) or "  (it said nothing)"
        raise AvsError(f"{self.name} has stopped ({how}); the end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """Ask it to end (SIGINT), insist after ten seconds."""
        if self.running:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        self._file.close()


class Children(ExitStack):
    """Processes that all end when this is left, in the opposite order of their start."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        """Logs go to the folder ``logs``, which is made."""
        super().__init__()
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._environment = logs, environment
        self._running: list[Child] = []

    def start_child(
        self,
        name: str,
        arguments: Sequence[str],
        on_line: Callable[[str], None] | None = None,
        may_end: bool = False,
    ) -> Child:
        """Start ``python WORDS`` under this name; see :class:`Child`."""
        log = self._logs / f"{name}.log"
        child = Child(name, arguments, log, self._environment, on_line, may_end)
        self._running.append(child)
        self.callback(child.stop)
        return child

    def check(self) -> None:
        """Raise AvsError if one has died."""
        for child in self._running:
            child.check()


# An engine that is compiled at the first start may take minutes on a busy machine.
START_S = 600.0
SETTLED_S = 1.8
LAST_LINES_S = 15.0
NODE_CODE = "import sys; from avs_ros.nodes.{0} import main; sys.exit(main())"
# The Python that runs the node.
SEGMENTATION_NODE = NODE_CODE.format("segmentation_node")


class RecordedPlay(Children):
    """One pass: :meth:`start`, :meth:`play`, :meth:`settle`; all processes end with the block."""

    def __init__(self, logs: Path, domain: int | None, shown: str) -> None:
        """Logs go to the folder ``logs``; ``domain`` None takes one by the process's number.

        ``shown``: topic of which one message per image is recorded.
        """
        super().__init__(logs, own_graph(domain))
        self._shown = shown
        # What the recorder told: the node's state, and how many messages of each topic came.
        self._state, self._failure = "", ""
        self._counts: dict[str, int] = {}

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

        ``sound``: topic on which the player's sound is recorded, whatever its type ("": not).
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
        self.start_child("recorder", arguments, self._hear)
        node = ["-c", SEGMENTATION_NODE, *_ros_arguments(parameters)]
        self.start_child("segmentation_node", node)
        until = time.monotonic() + START_S
        while self._state != "active":
            self.check()
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
        arguments = ["-c", NODE_CODE.format("player_node"), *_ros_arguments(parameters)]
        arguments += ["-r", "image:=/image", "-r", "audio:=/audio"]
        player = self.start_child("player_node", arguments, may_end=True)
        done = 0
        while player.running:
            self.check()
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
            self.check()
            if (now := self._counts.get(f"{NODE}/mask", 0)) != masks:
                masks, since = now, time.monotonic()
            time.sleep(0.05)
        self.check()
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
