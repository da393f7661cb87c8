"""A recording through the real segmentation node: recorder, node and player as processes.

They share a DDS domain of their own; what the recorder kept is the result.  ``avs demo`` and
``avs evaluate bag --live`` run on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from avs_ros.cli.processes import Child, Children
from avs_ros.conversions.topics import ANSWER_TOPICS, DIAGNOSTICS
from avs_ros.conversions.topics import LABEL_INFO as LABEL_INFO_TOPIC
from avs_ros.errors import AvsError, RosError
from avs_ros.ros_installation import own_graph, require_ros

# An engine that is compiled at the first start may take minutes on a busy machine.
START_S = 600.0
SETTLED_S = 1.8
LAST_LINES_S = 15.0
NODE = "/segmentation_node"
NODE_CODE = "import sys; from avs_ros.nodes.{0} import main; sys.exit(main())"
SEGMENTATION_NODE = NODE_CODE.format("segmentation_node")
LABEL_INFO = LABEL_INFO_TOPIC.name.replace("~", NODE)


def recorded_answers() -> dict[str, str]:
    """What is recorded of the node's own topics, name -> type: all but the large ones."""
    answers = {
        topic.name.replace("~", NODE): topic.type_name
        for topic in ANSWER_TOPICS if topic.in_file != "large"
    }
    return {**answers, DIAGNOSTICS.name: DIAGNOSTICS.type_name}


class Watcher:
    """What the recorder told: the node's state, and how many messages of each topic came."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.state, self.failure = "", ""
        self.counts: dict[str, int] = {}

    def hear(self, line: str) -> None:
        """Take one line of the recorder's."""
        try:
            payload = json.loads(line)
        except ValueError:
            return
        self.state = payload.get("state", self.state)
        self.failure = payload.get("failure", self.failure)
        self.counts = payload.get("counts", self.counts)

    @property
    def answers(self) -> int:
        """Masks received."""
        return self.counts.get(f"{NODE}/mask", 0)


class RecordedPlay:
    """One pass: :meth:`start`, :meth:`play`, :meth:`settle`; all processes end with the block."""

    def __init__(self, logs: Path, domain: int | None, shown: str) -> None:
        """Logs go to the folder ``logs``; ``domain`` None takes one by the process's number.

        ``shown``: topic of which one message per image is recorded.
        """
        self.watcher = Watcher()
        self._logs, self._shown = logs, shown
        self._children = Children(logs, own_graph(domain))
        self._player: Child | None = None

    def start(
        self,
        recording: Path,
        topics: Mapping[str, str],
        parameters: Mapping[str, object],
        *,
        sound: str = "",
        latched: Sequence[str] = (),
        node_code: str = SEGMENTATION_NODE,
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
        self._children.start("recorder", arguments, self.watcher.hear)
        node = ["-c", node_code, *_ros_arguments(parameters)]
        self._children.start("segmentation_node", node)
        self._wait_active()

    def play(
        self,
        parameters: Mapping[str, object],
        advance: Callable[[int], None] = lambda images: None,
    ) -> None:
        """Play to the end; ``advance`` hears how many more images have been recorded."""
        arguments = ["-c", NODE_CODE.format("player_node"), *_ros_arguments(parameters)]
        arguments += ["-r", "image:=/image", "-r", "audio:=/audio"]
        self._player = self._children.start("player_node", arguments)
        done = 0
        while self._player.running:
            self._children.check(may_end=[self._player])
            now = self.watcher.counts.get(self._shown, 0)
            advance(now - done)
            done = now
            time.sleep(0.1)
        self._player.check(may_end=True)

    def settle(self) -> None:
        """Until no new mask has come for a while: long enough for one more diagnostics page."""
        players = [self._player] if self._player else []
        until = time.monotonic() + LAST_LINES_S
        last, since = -1, time.monotonic()
        while time.monotonic() < until and time.monotonic() - since < SETTLED_S:
            self._children.check(may_end=players)
            if self.watcher.answers != last:
                last, since = self.watcher.answers, time.monotonic()
            time.sleep(0.05)
        self._children.check(may_end=players)

    def check_answered(self) -> None:
        """Raise :class:`RosError` when not one mask was recorded."""
        if not self.watcher.answers:
            raise RosError(
                f"the node has answered none of {self.watcher.counts.get(self._shown, 0)} "
                f"images; its log is {self._logs / 'segmentation_node.log'}"
            )

    def _wait_active(self) -> None:
        until = time.monotonic() + START_S
        while self.watcher.state != "active":
            self._children.check()
            if self.watcher.failure:
                raise AvsError(f"the segmentation node cannot start: {self.watcher.failure}")
            if time.monotonic() > until:
                raise RosError(
                    f"the segmentation node was not active within {START_S:.0f} s; do other "
                    "processes or a firewall hold back UDP on the loopback interface?"
                )
            time.sleep(0.05)

    def __enter__(self) -> RecordedPlay:
        """Nothing runs yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all that still run."""
        self._children.__exit__(kind, error, trace)


def _ros_arguments(parameters: Mapping[str, object]) -> list[str]:
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments
