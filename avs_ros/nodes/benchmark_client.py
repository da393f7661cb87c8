"""The other side of the node: drives its lifecycle, feeds it, and measures what comes back.

``python -m avs_ros.nodes.benchmark_client SPEC`` talks to a running node over DDS and prints JSON
lines: ``{"doing": text}`` on the way, ``{"result": …}`` at the end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import asdict
from typing import Any, TextIO

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image

from avs_ros.benchmarks.measuring import ProcessWatch, summarise
from avs_ros.benchmarks.subject import HEIGHT, WIDTH, SceneStream, Subject, segmenter
from avs_ros.conversions.audio import AUDIO_INFO, AUDIO_TYPES, make_audio, make_audio_info
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.errors import AvsError, RosError
from avs_ros.nodes.lifecycle_client import LifecycleClient
from avs_ros.nodes.message_types import ROS, published_audio_type
from avs_ros.sound import SAMPLE_RATE

NODE = "/segmentation_node"
RATE_HZ = 10
_PERIOD_NS = 1_000_000_000 // RATE_HZ
_CHUNK = SAMPLE_RATE // RATE_HZ
# A frame lies this far before the end of its chunk of sound: it never waits for more.
_MARGIN_NS = 20_000_000
_PATIENCE_S, _CONFIGURE_S = 30.0, 300.0
# Discovery is over, and with it the processor time that it costs.
_SETTLE_S = 1.0


class NodeClient:
    """Camera, microphone and listener in one node."""

    def __init__(self) -> None:
        rclpy.init(args=[])
        self._node = Node("benchmark")
        qos = QoSProfile(depth=10)
        self._images = self._node.create_publisher(Image, "/image", qos)
        self._audio_type = published_audio_type("auto")
        audio = ROS(AUDIO_TYPES[self._audio_type])
        self._sounds = self._node.create_publisher(audio, "/audio", 50)
        self._formats = None
        if self._audio_type == "AudioDataStamped":  # says nothing about itself
            self._formats = self._node.create_publisher(ROS(AUDIO_INFO), "/audio_info", qos)
        self._node.create_subscription(Image, f"{NODE}/mask", self._on_mask, qos)
        self._lifecycle = LifecycleClient(self._node, NODE)
        self._arrived = threading.Condition()
        self._masks: dict[int, float] = {}
        self._scene = SceneStream()
        self._count, self._start_ns = 0, time.time_ns()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait_for_node(self) -> None:
        """Until the node is on the graph; raises RosError where it never is."""
        self._lifecycle.wait_for_node(_CONFIGURE_S)
        time.sleep(_SETTLE_S)

    def change(self, label: str) -> None:
        """Make the node go through a transition; raises RosError where it does not."""
        if not self._lifecycle.change(label, _CONFIGURE_S):
            raise RosError(f"the node refuses to {label}; its log says why")

    def wait_for_listener(self) -> None:
        """Until the node listens to both topics."""
        end = time.monotonic() + _PATIENCE_S
        while not all(one.get_subscription_count() for one in (self._images, self._sounds)):
            if time.monotonic() > end:
                raise RosError("waited in vain for the node to listen")
            time.sleep(0.01)

    def send(self) -> tuple[int, float]:
        """The next tenth of a second: sound, then a frame; (stamp, when it was published)."""
        begin_ns = self._start_ns + self._count * _PERIOD_NS
        sound = self._scene.sound(self._count * _CHUNK, _CHUNK)
        if self._formats is not None:
            self._formats.publish(make_audio_info(ROS, SAMPLE_RATE, 1))
        self._sounds.publish(make_audio(ROS, self._audio_type, begin_ns, sound, SAMPLE_RATE))
        stamp_ns = begin_ns + _PERIOD_NS - _MARGIN_NS
        image = self._scene.frame(self._count)
        message = make_image(ROS, make_header(ROS, stamp_ns, "camera_optical_frame"), image)
        self._count += 1
        began = time.perf_counter()
        self._images.publish(message)
        return stamp_ns, began

    def send_for(self, seconds: float) -> tuple[int, int]:
        """Ten frames a second; (frames sent, masks received)."""
        began, sent = time.monotonic(), 0
        before = len(self._masks)
        while sent < round(seconds * RATE_HZ):
            time.sleep(max(0.0, began + sent / RATE_HZ - time.monotonic()))
            self.send()
            sent += 1
        return sent, len(self._masks) - before

    def answer_ms(self) -> float:
        """Frame published -> mask received (ms); raises RosError where none comes."""
        stamp_ns, began = self.send()
        with self._arrived:
            if not self._arrived.wait_for(lambda: stamp_ns in self._masks, _PATIENCE_S):
                raise RosError("a frame was not answered; the node's log may say why")
        return (self._masks[stamp_ns] - began) * 1e3

    def next_input(self) -> tuple[Any, Any]:
        """What :meth:`send` would show the model next: frame, window of sound."""
        end = (self._count + 1) * _CHUNK - round(_MARGIN_NS * 1e-9 * SAMPLE_RATE)
        return self._scene.frame(self._count), self._scene.sound(end - SAMPLE_RATE, SAMPLE_RATE)

    def _on_mask(self, message: Any) -> None:
        now = time.perf_counter()
        with self._arrived:
            self._masks[stamp_to_ns(message.header.stamp)] = now
            self._arrived.notify_all()


def measure(spec: dict[str, Any], out: TextIO) -> dict[str, Any]:
    """The states one after another, then answers and bare steps in turns."""
    def tell(doing: str) -> None:
        out.write(json.dumps({"doing": doing}) + "\n")
        out.flush()

    seconds, rounds = float(spec["seconds"]), int(spec["rounds"])
    states: dict[str, Any] = {}
    client = NodeClient()
    try:
        def watch(state: str, during: Any = None) -> None:
            tell(f"node {state}")
            process = ProcessWatch(int(spec["pid"]))
            found: dict[str, Any] = {}
            if during is None:
                time.sleep(seconds)
            else:
                found["sent"], found["received"] = during(seconds)
            states[state] = {**asdict(process.usage()), **found}

        tell("waiting for the node")
        client.wait_for_node()
        watch("unconfigured")
        tell("loading the model")
        client.change("configure")
        watch("inactive")
        client.change("activate")
        client.wait_for_listener()
        watch("active, idle")
        watch(f"active, {RATE_HZ} Hz", client.send_for)
        tell("loading the bare model")
        bare = segmenter(Subject(**spec["subject"]), spec["engine"], spec["device"])
        turns = _in_turns(client, bare, rounds, tell)
        client.change("deactivate")
    finally:
        client.close()
    return {
        "rmw": get_rmw_implementation_identifier(), "image": [WIDTH, HEIGHT],
        "engine": bare.engine,
        "model": bare.name, "states": states, "rounds": rounds, **turns,
    }


def _in_turns(client: NodeClient, bare: Any, rounds: int, tell: Any) -> dict[str, Any]:
    samples: dict[str, list[float]] = {"end_to_end": [], "bare_step": []}
    for number in range(-3, rounds):
        tell(f"end to end, round {max(number, 0) + 1} of {rounds}")
        frame, window = client.next_input()
        began = time.perf_counter()
        bare.step(frame, window, (number + 10) * _PERIOD_NS)
        step_ms = (time.perf_counter() - began) * 1e3
        answer_ms = client.answer_ms()
        if number >= 0:  # the first ones warm up
            samples["bare_step"].append(step_ms)
            samples["end_to_end"].append(answer_ms)
    timings = summarise(samples, "bare_step")
    bare_ms, whole_ms = (np.asarray(samples[name]) for name in ("bare_step", "end_to_end"))
    return {
        "ms": {name: asdict(timing) for name, timing in timings.items()},
        "overhead_ms": float(np.median(whole_ms - bare_ms)),
        "overhead_share": float(np.median((whole_ms - bare_ms) / bare_ms)),
    }


def main() -> int:
    """Answers on stdout, all else on stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        result = measure(json.loads(sys.argv[1]), out)
    except AvsError as error:
        out.write(json.dumps({"error": str(error)}) + "\n")
        return 2
    finally:
        out.flush()
    out.write(json.dumps({"result": result}) + "\n")
    out.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
