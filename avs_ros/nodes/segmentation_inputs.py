"""Pictures and sound of the segmentation node: subscribed by the type that is published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from avs_ros.conversions import (
    AUDIO_TYPES,
    AudioFormat,
    MalformedAudio,
    MalformedImage,
    Message,
    check_picture,
    read_audio,
    read_audio_info,
    read_picture,
    reason_of,
    stamp_to_ns,
)
from avs_ros.errors import AvsError
from avs_ros.middleware import rclpy
from avs_ros.nodes.message_counters import MessageCounters
from avs_ros.nodes.subscriptions import subscribe
from avs_ros.nodes.topic_names import published_types, sibling_topic, transport_topic
from avs_ros.streaming.inputs import Event, Frame, Sound

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_FORMATLESS = (AUDIO_TYPES["AudioDataStamped"], AUDIO_TYPES["AudioData"])

Push = Callable[[Event], None]


@dataclass(frozen=True)
class _Source:
    """One subscription that stands."""

    topic: str
    type_name: str
    subscription: Any


class SensorInputs:
    """Subscribes to camera and microphone, refuses what is malformed, hands over the rest.

    ``push``, given to :meth:`open`, is called with each frame and each chunk of sound on the
    executor's threads and must be quick; a frame is decoded later, in another thread.
    """

    def __init__(
        self, node: Any, parameters: Mapping[str, Any], counters: MessageCounters
    ) -> None:
        """Prepare callback groups; nothing is subscribed before :meth:`open`."""
        self._node = node
        self._parameters = parameters
        self._push: Push = lambda event: None
        self._frames = 0
        self._counters = counters
        # Pictures, sound and everything else never wait for each other.
        group = rclpy.callback_groups.MutuallyExclusiveCallbackGroup
        self._image_group, self._audio_group = group(), group()
        self._image: _Source | None = None
        self._audio: _Source | None = None
        self._beside: list[Any] = []
        self._info: AudioFormat | None = None
        # What audio_info said that makes the sound unusable (MP3, say).
        self._coded: AvsError | None = None
        # The graph is watched in another thread than the one that opens and closes.
        self._lock = threading.RLock()
        self.camera_info: Message | None = None
        self.problems: dict[str, str] = {}
        self.is_open = False

    def open(self, push: Push) -> None:
        """Subscribe to what can be seen on the graph now; :meth:`watch` finds the rest."""
        with self._lock:
            self._push = push
            if self.is_open:
                return
            self.is_open = True
            topic = sibling_topic(self._node, "camera_info", "image")
            self._beside.append(
                self._subscribe("sensor_msgs/msg/CameraInfo", topic, self._on_camera_info,
                                "sensor_data", 1, self._image_group)
            )
            self.watch()

    def close(self) -> None:
        """Drop every subscription."""
        with self._lock:
            self.is_open = False
            for source in (self._image, self._audio):
                if source is not None:
                    self._node.destroy_subscription(source.subscription)
            for subscription in self._beside:
                self._node.destroy_subscription(subscription)
            self._image = self._audio = self._info = self._coded = None
            self._beside.clear()
            self.problems.clear()

    def watch(self) -> None:
        """Follow the graph: subscribe once a type is known, follow when it changes."""
        with self._lock:
            if not self.is_open:
                return
            self._follow(self._wanted_image(), self._image, self._subscribe_image)
            self._follow(self._wanted_audio(), self._audio, self._subscribe_audio)

    def describe(self) -> dict[str, str]:
        """Topics and types in words, for diagnostics."""
        described = {}
        for name, source in (("image", self._image), ("audio", self._audio)):
            if source is None:
                described[name] = f"no publisher on {self._node.resolve_topic_name(name)} yet"
            else:
                described[name] = f"{source.topic} ({source.type_name})"
        if self._audio is not None and self._audio.type_name in _FORMATLESS:
            known = self._format()
            described["audio_format"] = (
                f"{known.sample_format}, {known.rate} Hz, {known.channels} channels, "
                + ("from audio_info" if self._info else "assumed, no audio_info yet")
            )
        return described

    def _follow(
        self, wanted: tuple[str, str] | None, current: _Source | None,
        subscribe: Callable[[str, str], None],
    ) -> None:
        if wanted is None or (current and (current.topic, current.type_name) == wanted):
            return
        topic, type_name = wanted
        try:
            subscribe(topic, type_name)
        except (AvsError, ImportError, AttributeError) as error:
            # The type is on the graph but its package is not installed here.
            self._problem(topic, f"cannot subscribe to {topic} as {type_name}: {error}")

    def _wanted_image(self) -> tuple[str, str] | None:
        base = str(self._node.resolve_topic_name("image"))
        beside = transport_topic(self._node, "image", "compressed")
        transport = self._parameters["image_transport"]
        if transport == "raw":
            return base, _IMAGE
        on_base = published_types(self._node, base)
        if transport == "auto" and _IMAGE in on_base:
            return base, _IMAGE
        if _COMPRESSED in on_base:
            return base, _COMPRESSED
        if transport == "compressed" or _COMPRESSED in published_types(self._node, beside):
            return beside, _COMPRESSED
        return None

    def _wanted_audio(self) -> tuple[str, str] | None:
        topic = str(self._node.resolve_topic_name("audio"))
        chosen = self._parameters["audio_type"]
        if chosen != "auto":
            return topic, AUDIO_TYPES[chosen]
        published = published_types(self._node, topic)
        for type_name in published:
            if type_name in AUDIO_TYPES.values():
                return topic, type_name
        if published:
            self._problem(
                topic, f"{topic} carries {published[0]}, which is none of the sound types that "
                f"are read: {', '.join(AUDIO_TYPES.values())}",
            )
        return None

    def _subscribe_image(self, topic: str, type_name: str) -> None:
        if self._image is not None:
            self._node.destroy_subscription(self._image.subscription)
            self._image = None
        # Depth 1: the newest picture wins, an old one is of no use to anybody.
        subscription = self._subscribe(
            type_name, topic, self._on_image, self._parameters["image_qos"], 1, self._image_group
        )
        self._image = _Source(topic, type_name, subscription)

    def _subscribe_audio(self, topic: str, type_name: str) -> None:
        if self._audio is not None:
            self._node.destroy_subscription(self._audio.subscription)
            self._audio = None
        # Sound is a whole: every chunk counts, so more than one may wait.
        subscription = self._subscribe(
            type_name, topic, self._on_audio, self._parameters["audio_qos"],
            self._parameters["audio_depth"], self._audio_group,
        )
        self._audio = _Source(topic, type_name, subscription)
        if type_name == AUDIO_TYPES["AudioData"]:
            self._node.get_logger().warning(
                f"{topic} has no stamps: sound is placed by the time it arrives, which is late "
                "by the transport's delay; set audio_stamp_offset or use AudioDataStamped"
            )
        if type_name in _FORMATLESS and self._info is None:
            beside = sibling_topic(self._node, "audio_info", "audio")
            self._beside.append(
                self._subscribe("audio_common_msgs/msg/AudioInfo", beside, self._on_audio_info,
                                "sensor_data", 1, self._audio_group)
            )

    def _subscribe(
        self, type_name: str, topic: str, callback: Callable[[Message], None], qos: str,
        depth: int, group: Any,
    ) -> Any:
        self.problems.pop(topic, None)
        subscription = subscribe(
            self._node, type_name, topic, callback, qos=qos, depth=depth, group=group,
            report=lambda sentence: self._problem(topic, sentence),
        )
        self._node.get_logger().info(f"subscribed to {topic} ({type_name}, {qos})")
        return subscription

    def _problem(self, topic: str, sentence: str) -> None:
        if self.problems.get(topic) != sentence:
            self.problems[topic] = sentence
            self._node.get_logger().warning(sentence)

    def _refuse(self, error: AvsError) -> None:
        """Count a message that cannot be used; say so the 1st, 10th, 100th… time."""
        times = self._counters.count(reason_of(error), str(error))
        if str(times).strip("0") == "1":
            self._node.get_logger().warning(f"message refused ({times}x): {error}")

    def _on_image(self, msg: Message) -> None:
        try:
            stamp_ns = stamp_to_ns(msg.header.stamp)
            if stamp_ns == 0:
                raise MalformedImage(
                    "image_stamp_zero", "picture with stamp 0 cannot be paired with sound: the "
                    "camera driver must set the stamp",
                )
            check_picture(msg)
            frame = Frame(
                stamp_ns, self._frames, lambda: self._decode(msg), msg.header.frame_id
            )
            self._frames += 1
            self._push(frame)
        except AvsError as error:
            self._refuse(error)

    def _decode(self, msg: Message) -> Any:
        """Decode in the worker; what only shows there is counted there."""
        try:
            return read_picture(msg)
        except AvsError as error:
            self._refuse(error)
            raise

    def _on_audio(self, msg: Message) -> None:
        try:
            if self._coded is not None:
                raise self._coded
            now_ns = self._node.get_clock().now().nanoseconds
            chunk = read_audio(msg, self._format(), now_ns)
            if not chunk.stamped and now_ns == 0:
                raise MalformedAudio(
                    "audio_stamp_zero", "sound without stamps before the first /clock message"
                )
            offset_ns = round(self._parameters["audio_stamp_offset"] * 1e9)
            self._push(Sound(chunk.stamp_ns + offset_ns, chunk.samples, chunk.rate))
        except AvsError as error:
            self._refuse(error)

    def _format(self) -> AudioFormat:
        parameters = self._parameters
        return self._info or AudioFormat(
            parameters["audio_sample_format"], parameters["audio_channels"],
            parameters["audio_rate"],
        )

    def _on_audio_info(self, msg: Message) -> None:
        try:
            self._info, self._coded = read_audio_info(msg), None
        except AvsError as error:
            self._coded = error
            self._refuse(error)

    def _on_camera_info(self, msg: Message) -> None:
        self.camera_info = msg
