"""Records topics of a running graph into one mcap file, and tells its parent what it sees.

Runs as a process of its own (``python -m avs_ros.nodes.recorder_node --help``), so that the
recording is what went over DDS.  On stdout, one JSON object per line: ``{"state": …, "failure":
…}`` whenever the segmentation node's diagnostics say something new, ``{"counts": {topic:
messages}}`` twice a second.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from avs_ros.conversions.audio import AUDIO_INFO, AUDIO_TYPES, FORMATLESS
from avs_ros.media.bag_writer import BagWriter
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.message_types import ROS, published_audio_type
from avs_ros.nodes.topics import qos_profile

# Topic, CDR bytes, time of arrival (ns).
Recorded = tuple[str, bytes, int]
TELL_PERIOD_S = 0.5
# A burst while the disk is slow; a second of everything that the demo records.
DEPTH = 200
DIAGNOSTICS = "/diagnostics"
MODEL_STATUS = "segmentation_node: model"


def tell(**values: object) -> None:
    """One line for the parent."""
    print(json.dumps(values), flush=True)


class RecorderNode(Node):
    """Subscribes to topics by name and type and writes every message as it came (CDR).

    A message is recorded at the system's time of its arrival; its header is left alone.
    """

    def __init__(self, path: Path, topics: Mapping[str, str], latched: Sequence[str] = ()) -> None:
        """Record ``topics`` (name -> type) to ``path``; ``latched`` ones keep a last sample."""
        super().__init__("recorder")
        self._to_write: queue.SimpleQueue[Recorded | None] = queue.SimpleQueue()
        self._told: dict[str, str] = {}
        self._bag = BagWriter(path)
        for topic, type_name in topics.items():
            self._bag.declare(topic, type_name, topic in latched)
            profile = qos_profile("latched" if topic in latched else "reliable", DEPTH)
            take = partial(self._on_message, topic)
            self.create_subscription(ROS(type_name), topic, take, profile, raw=True)
        self._bag_thread = threading.Thread(target=self._write_bag, name="recorder")
        self._bag_thread.start()
        self.create_timer(TELL_PERIOD_S, lambda: tell(counts=dict(self._bag.counts)))
        tell(state="recording", failure="")

    def _on_message(self, topic: str, data: bytes) -> None:
        self._to_write.put((topic, bytes(data), time.time_ns()))
        if topic == DIAGNOSTICS:
            self._tell_state(data)

    def _write_bag(self) -> None:
        while (item := self._to_write.get()) is not None:
            self._bag.write_serialized(*item)

    def _tell_state(self, data: bytes) -> None:
        page = deserialize_message(data, DiagnosticArray)
        for status in page.status:
            if status.name != MODEL_STATUS:
                continue
            state = {pair.key: pair.value for pair in status.values}.get("state", "")
            failed = state == "unconfigured" and status.level == DiagnosticStatus.ERROR
            values = {"state": state, "failure": status.message if failed else ""}
            if values != self._told:
                self._told = values
                tell(**values)

    def destroy_node(self) -> None:
        """Write what is waiting and finish the file."""
        self._to_write.put(None)
        self._bag_thread.join()
        self._bag.close()
        super().destroy_node()


def main(argv: Sequence[str] | None = None) -> int:
    """Record until SIGINT; returns the exit status."""
    parser = argparse.ArgumentParser(prog="recorder", description="Record topics to an mcap file.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--topic", nargs=2, action="append", metavar=("NAME", "TYPE"), default=[])
    parser.add_argument("--sound", metavar="NAME", help="sound, whatever its type")
    parser.add_argument("--latched", action="append", metavar="NAME", default=[])
    args = parser.parse_args(argv)

    def create() -> RecorderNode:
        topics = dict(args.topic)
        if args.sound:  # as a player publishes it by default
            topics[args.sound] = AUDIO_TYPES[published_audio_type("auto")]
            if topics[args.sound] in FORMATLESS:
                topics[f"{args.sound}_info"] = AUDIO_INFO
        return RecorderNode(args.path, topics, args.latched)

    return run_node(create, [])


if __name__ == "__main__":
    sys.exit(main())
