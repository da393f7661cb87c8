"""A small ROS graph inside a test: nodes under test, a tester node, an executor's threads."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from fakes import BrightnessSegmenter
from ros_packages import get_message, require_ros

from avs_ros.conversions.audio import AUDIO_TYPES, make_audio
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header

require_ros()

import rclpy  # noqa: E402
import rclpy.context  # noqa: E402
import rclpy.exceptions  # noqa: E402
import rclpy.executors  # noqa: E402
import rclpy.node  # noqa: E402
import rclpy.parameter  # noqa: E402
import rclpy.qos  # noqa: E402

from avs_ros.nodes.lifecycle_client import LifecycleClient  # noqa: E402
from avs_ros.nodes.message_types import ROS  # noqa: E402
from avs_ros.nodes.segmentation_node import SegmentationNode  # noqa: E402

TIMEOUT_S = 60.0  # on a busy machine; what comes, comes much sooner
ASK_AGAIN_S = 5.0
SEGMENTATION, IMAGE = "/segmentation_node", "sensor_msgs/msg/Image"
BASE_NS = 1_000_000_000_000  # recordings of the tests begin 1000 s after the epoch


def lamp(width: int = 64, height: int = 48) -> np.ndarray:
    """A dark image with a bright box of 20 x 20 pixels at (20, 10)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[10:30, 20:40] = 255
    return image


def tone(seconds: float, rate: int = 16000) -> np.ndarray:
    """A loud tone, float32 mono."""
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 0.2)).astype(np.float32)


def said(log: list[Any], text: str) -> list[str]:
    """The lines of a latched log that hold ``text``.

    Each once: DDS may hand over a line that is written while it is subscribed to both as an old
    and as a new one.
    """
    lines = {(one.stamp.sec, one.stamp.nanosec, one.msg) for one in log if text in one.msg}
    return [line for *_, line in sorted(lines)]


class NodeGraph:
    """Own context, executor and tester; everything ends with :meth:`close`."""

    def __init__(self, args: list[str] | None = None) -> None:
        self.context = rclpy.context.Context()
        rclpy.init(context=self.context, args=args or [])
        self.executor = rclpy.executors.MultiThreadedExecutor(num_threads=4, context=self.context)
        self.tester = rclpy.node.Node("tester", context=self.context)
        self.executor.add_node(self.tester)
        self.nodes: list[Any] = [self.tester]
        # Kept: each new one would have to be discovered by its server.
        self._clients: dict[str, Any] = {}
        self._lifecycles: dict[str, LifecycleClient] = {}
        self._ends = threading.Event()
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self) -> None:
        while not self._ends.is_set():
            # As the nodes' own entry point does.
            with contextlib.suppress(rclpy.exceptions.InvalidHandle):
                self.executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        """Callbacks end first, then what they work on."""
        self._ends.set()
        self.executor.wake()
        self.thread.join(TIMEOUT_S)
        self.executor._executor.shutdown()
        self.executor.shutdown(timeout_sec=5.0)
        for node in reversed(self.nodes):
            node.destroy_node()
        rclpy.shutdown(context=self.context)
        # A lifecycle node's state machine stays on the graph, and answers its services, for as
        # long as the object lives; nodes and their callbacks hold each other.
        self.nodes.clear()
        gc.collect()

    def add(self, create: Callable[..., Any], *args: Any, parameters: dict[str, Any] | None = None,
            cli: list[str] | None = None, **options: Any) -> Any:
        """Create a node in this graph with these parameters and run its callbacks."""
        node = create(
            *args, context=self.context, cli_args=cli,
            parameter_overrides=[
                rclpy.parameter.Parameter(name, value=value)
                for name, value in (parameters or {}).items()
            ],
            **options,
        )
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def remove(self, node: Any) -> None:
        """Take a node off the graph before the end."""
        self.nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def wait(
        self, condition: Callable[[], Any], what: str = "", timeout: float = TIMEOUT_S
    ) -> Any:
        """The condition's first true value; fails after ``timeout``."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < end, f"waited in vain for {what or condition}"
            time.sleep(0.005)
        return value

    # Kinds of messages and services are classes, or names ("std_msgs/msg/String").

    def listen(
        self, kind: Any, topic: str, depth: int = 50, latched: bool = False, reliable: bool = True
    ) -> list:
        """A list that fills with the messages of ``topic``."""
        heard: list[Any] = []
        qos = rclpy.qos.QoSProfile(depth=depth)
        if not reliable:
            qos.reliability = rclpy.qos.ReliabilityPolicy.BEST_EFFORT
        if latched:
            qos.durability = rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL
        self.tester.create_subscription(get_message(kind), topic, heard.append, qos)
        return heard

    def publisher(self, kind: Any, topic: str, qos: Any = 50) -> Any:
        return self.tester.create_publisher(get_message(kind), topic, qos)

    def call(self, kind: Any, name: str, **fields: Any) -> Any:
        """Call a service of the graph and wait for the answer.

        It is asked again where none comes: see :class:`LifecycleClient`, whose business the
        changes of state are.
        """
        service = get_message(kind)
        if name not in self._clients:
            self._clients[name] = self.tester.create_client(service, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_sec=TIMEOUT_S), f"no service {name}"
        asked: list[Any] = []
        began = time.monotonic()

        def answer() -> Any:
            if time.monotonic() >= began + len(asked) * ASK_AGAIN_S:
                asked.append(client.call_async(service.Request(**fields)))
            return next((one for one in asked if one.done()), None)

        return self.wait(answer, f"{name}'s answer").result()

    def state(self, node_name: str) -> str:
        """The label of a lifecycle node's state."""
        return self._lifecycle(node_name).state(TIMEOUT_S)

    def change(self, node_name: str, label: str) -> bool:
        """Whether a lifecycle node goes through the transition of that label."""
        return self._lifecycle(node_name).change(label, TIMEOUT_S)

    def _lifecycle(self, node_name: str) -> LifecycleClient:
        if node_name not in self._lifecycles:
            self._lifecycles[node_name] = LifecycleClient(self.tester, node_name)
            self._lifecycles[node_name].wait_for_node(TIMEOUT_S)
        return self._lifecycles[node_name]

    def set_parameters(self, node_name: str, **values: Any) -> list[Any]:
        """Set parameters through the node's service; one result per parameter."""
        parameters = [
            rclpy.parameter.Parameter(name, value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        answer = self.call(
            "rcl_interfaces/srv/SetParameters", f"{node_name}/set_parameters",
            parameters=parameters,
        )
        return list(answer.results)


class Recording:
    """Plays camera and microphone topics in a recording's own time, as fast as the test likes."""

    def __init__(
        self, graph: NodeGraph, image_type: str = "sensor_msgs/msg/Image",
        audio_type: str = "AudioStamped", image_topic: str = "image", audio_topic: str = "audio",
        image_qos: Any = 5, audio_qos: Any = 50,
    ) -> None:
        self.graph = graph
        self.audio_type = audio_type
        self.images = graph.publisher(image_type, image_topic, image_qos)
        self.sounds = graph.publisher(AUDIO_TYPES[audio_type], audio_topic, audio_qos)

    def wait_for_node(self) -> None:
        """Until somebody listens to both."""
        self.graph.wait(self.images.get_subscription_count, "a subscription to the images")
        self.graph.wait(self.sounds.get_subscription_count, "a subscription to the sound")

    def sound(self, start_s: float, seconds: float, samples: Any = None) -> None:
        """One chunk of sound from ``start_s`` on."""
        samples = tone(seconds) if samples is None else samples
        stamp_ns = BASE_NS + round(start_s * 1e9)
        self.sounds.publish(make_audio(ROS, self.audio_type, stamp_ns, samples, 16000))

    def frame(self, at_s: float, image: np.ndarray | None = None) -> int:
        """One image at ``at_s``; returns its stamp."""
        stamp_ns = BASE_NS + round(at_s * 1e9)
        header = make_header(ROS, stamp_ns, "camera_optical_frame")
        self.images.publish(make_image(ROS, header, lamp() if image is None else image))
        return stamp_ns


def start_segmentation(graph: NodeGraph, segmenter: Any = None, **parameters: Any) -> Any:
    """The segmentation node with a segmenter of the test's, by default that of bright pixels."""
    made = segmenter if segmenter is not None else BrightnessSegmenter()
    return graph.add(
        SegmentationNode, create_segmenter=lambda _: made,
        parameters={"diagnostics_period": 0.1, **parameters},
    )


def _each_status(graph: NodeGraph, take: Callable[[Any], None]) -> None:
    graph.tester.create_subscription(
        get_message("diagnostic_msgs/msg/DiagnosticArray"), "/diagnostics",
        lambda msg: [take(status) for status in msg.status], 10,
    )


def pages(graph: NodeGraph) -> dict[str, Any]:
    """Name -> latest status on /diagnostics ("inputs", "stream", ...), kept up to date."""
    latest: dict[str, Any] = {}
    _each_status(graph, lambda status: latest.update({status.name.split(": ")[1]: status}))
    return latest


def page(graph: NodeGraph) -> dict[str, str]:
    """The newest values on /diagnostics, of all statuses together; filled as they come."""
    latest: dict[str, str] = {}
    _each_status(graph, lambda status: latest.update(values(status)))
    return latest


def values(status: Any) -> dict[str, str]:
    """What a status says; nothing for one that has not come."""
    return {pair.key: pair.value for pair in status.values} if status is not None else {}
