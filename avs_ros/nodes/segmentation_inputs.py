"""Images and sound of the segmentation node: subscribed by the type that is published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from avs_ros.conversions.audio import (
    AUDIO_INFO,
    AUDIO_TYPES,
    FORMATLESS,
    read_audio,
    read_audio_info,
)
from avs_ros.conversions.camera import CAMERA_INFO
from avs_ros.conversions.messages import MalformedAudio, MalformedImage, Message, stamp_to_ns
from avs_ros.conversions.topics import COMPRESSED, IMAGE
from avs_ros.errors import AvsError
from avs_ros.nodes.calibration import Calibration
from avs_ros.nodes.image_reader import ImageReader
from avs_ros.nodes.subscriptions import InputSubscription, MessageCounters
from avs_ros.nodes.topics import published_types, sibling_topic, transport_topic
from avs_ros.segmentation import Bytes
from avs_ros.streaming.inputs import Event, Frame
from avs_ros.streaming.pcm import AudioFormat
from avs_ros.streaming.sound_format import FormatCheck

Push = Callable[[Event], None]


class SensorInputs:
    """Subscribes to camera and microphone, refuses what is malformed, hands over the rest.

    ``push``, given to :meth:`open`, is called with each frame and each chunk of sound on the
    executor's threads and must be quick; a frame is decoded later, in another thread.
    """

    def __init__(
        self, node: Node, parameters: Mapping[str, Any], counters: MessageCounters
    ) -> None:
        """Prepare callback groups; nothing is subscribed before :meth:`open`."""
        self._node = node
        self._parameters = parameters
        self._push: Push = lambda event: None
        self._frames = 0
        self._counters = counters
        self._reader = ImageReader(node.get_logger())
        self.calibration = Calibration(parameters, counters, node.get_logger())
        # Images, sound and everything else never wait for each other.
        self._image_group = MutuallyExclusiveCallbackGroup()
        self._audio_group = MutuallyExclusiveCallbackGroup()
        # image, audio, camera_info, audio_info: those that are subscribed.
        self._heard: dict[str, InputSubscription] = {}
        self._info: AudioFormat | None = None
        # What audio_info said that makes the sound unusable (MP3, say).
        self._coded: AvsError | None = None
        self._check: FormatCheck | None = None
        # Why there is no subscription to a topic.
        self._unheard: dict[str, str] = {}
        # The graph is watched in another thread than the one that opens and closes.
        self._lock = threading.RLock()
        self.is_open = False

    @property
    def problems(self) -> dict[str, str]:
        """Topics that cannot be heard, and why."""
        standing = {one.topic: one.problem for one in list(self._heard.values()) if one.problem}
        return {**self._unheard, **standing}

    def open(self, push: Push) -> None:
        """Subscribe to what can be seen on the graph now; :meth:`watch` finds the rest."""
        with self._lock:
            if self.is_open:
                return
            self._push = push
            self.is_open = True
            topic = sibling_topic(self._node, "camera_info", "image")
            self._subscribe(
                "camera_info", CAMERA_INFO, topic, self.calibration.take, self._image_group
            )
            self.watch()

    def close(self) -> None:
        """Drop every subscription."""
        with self._lock:
            self.is_open = False
            for subscription in self._heard.values():
                subscription.destroy()
            self._heard = {}
            self._info = self._coded = self._check = None
            self._unheard.clear()

    def watch(self) -> None:
        """Follow the graph: subscribe once a type is known, follow when publishers change."""
        with self._lock:
            if not self.is_open:
                return
            self._fit("image", self._wanted_image())
            self._fit("audio", self._wanted_audio())
            for subscription in self._heard.values():
                subscription.follow()

    def describe(self) -> dict[str, str]:
        """Topics, types and quality of service in words, for diagnostics."""
        described = {}
        for name in ("image", "audio"):
            if (source := self._heard.get(name)) is None:
                described[name] = f"no publisher on {self._node.resolve_topic_name(name)} yet"
            else:
                described[name] = source.describe()
        if self._formatless():
            known = self._format()
            described["audio_format"] = (
                f"{known.sample_format}, {known.rate} Hz, {known.channels} channels, "
                + ("from audio_info" if self._info else "assumed, no audio_info yet")
            )
        return described

    def _formatless(self) -> bool:
        """Whether the sound that is heard says nothing about its samples."""
        audio = self._heard.get("audio")
        return audio is not None and audio.type_name in FORMATLESS

    def _fit(self, name: str, wanted: tuple[str, str] | None) -> None:
        """Subscribe anew where another topic or type is wanted than is heard."""
        current = self._heard.get(name)
        if wanted is None or (current and (current.topic, current.type_name) == wanted):
            return
        topic, type_name = wanted
        if current is not None:
            del self._heard[name]
            current.destroy()
            if current.topic == topic:
                # Until the executor has let go of it, the RMW refuses another type on its topic.
                return
        try:
            if name == "image":
                # Depth 1: the newest image wins, an old one is of no use to anybody.
                self._subscribe(
                    name, type_name, topic, self._on_image, self._image_group,
                    self._parameters["image_qos"],
                )
            else:
                self._subscribe_audio(topic, type_name)
        except (AvsError, RuntimeError) as error:
            # The type is on the graph but its package is not installed here, or the RMW refuses.
            self._problem(topic, f"cannot subscribe to {topic} as {type_name}: {error}")
            return
        self._unheard.pop(topic, None)

    def _wanted_image(self) -> tuple[str, str] | None:
        base = str(self._node.resolve_topic_name("image"))
        beside = transport_topic(self._node, "image", "compressed")
        transport = self._parameters["image_transport"]
        if transport == "raw":
            return base, IMAGE
        on_base = published_types(self._node, base)
        if transport == "auto" and IMAGE in on_base:
            return base, IMAGE
        if COMPRESSED in on_base:
            return base, COMPRESSED
        if transport == "compressed" or COMPRESSED in published_types(self._node, beside):
            return beside, COMPRESSED
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

    def _subscribe_audio(self, topic: str, type_name: str) -> None:
        # First, so that where it fails both are tried again.
        if type_name in FORMATLESS and "audio_info" not in self._heard:
            beside = sibling_topic(self._node, "audio_info", "audio")
            self._subscribe(
                "audio_info", AUDIO_INFO, beside, self._on_audio_info, self._audio_group
            )
        # Sound is a whole: every chunk counts, so more than one may wait.
        self._subscribe(
            "audio", type_name, topic, self._on_audio, self._audio_group,
            self._parameters["audio_qos"], self._parameters["audio_depth"],
        )
        if type_name == AUDIO_TYPES["AudioData"]:
            self._node.get_logger().warning(
                f"{topic} has no stamps: sound is placed by the time it arrives, which is late "
                "by the transport's delay; set audio_stamp_offset or use AudioDataStamped"
            )

    def _subscribe(
        self, name: str, type_name: str, topic: str, callback: Callable[[Message], None],
        group: CallbackGroup, qos: str = "auto", depth: int = 1,
    ) -> None:
        self._heard[name] = InputSubscription(
            self._node, type_name, topic, callback, qos=qos, depth=depth, group=group,
            counters=self._counters,
        )

    def _problem(self, topic: str, message: str) -> None:
        if self._unheard.get(topic) != message:
            self._unheard[topic] = message
            self._node.get_logger().warning(message)

    def _on_image(self, msg: Message) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if stamp_ns == 0:
            raise MalformedImage(
                "image_stamp_zero",
                "image with stamp 0 cannot be paired with sound: the camera driver must set the "
                "stamp",
            )
        self._reader.check(msg)
        self._push(Frame(stamp_ns, self._frames, lambda: self._decode(msg), msg.header.frame_id))
        self._frames += 1

    def _decode(self, msg: Message) -> Bytes:
        """Decode in the worker; what only shows there is counted there."""
        try:
            return self._reader.read(msg)
        except Exception as error:
            self._counters.refuse(error, "image")
            raise

    def _on_audio(self, msg: Message) -> None:
        if self._coded is not None:
            raise self._coded
        now_ns = self._node.get_clock().now().nanoseconds
        sound = read_audio(msg, self._format(), now_ns)
        if self._formatless():
            self._hold_format(msg, sound.stamp_ns)
        offset_ns = round(self._parameters["audio_stamp_offset"] * 1e9)
        self._push(replace(sound, stamp_ns=sound.stamp_ns + offset_ns))

    def _hold_format(self, msg: Message, stamp_ns: int) -> None:
        """Hold what is assumed of the sound against its first chunks, and say what contradicts."""
        assumed = self._format()
        if self._check is None or self._check.assumed != assumed:
            self._check = FormatCheck(assumed)
        if self._check.full or (audio := self._heard.get("audio")) is None:
            return
        self._check.add(stamp_ns, bytes(msg.audio.data if hasattr(msg, "audio") else msg.data))
        if not self._check.full:
            return
        topic = audio.topic
        if codec := self._check.codec():
            self._coded = MalformedAudio(
                "audio_coded",
                f"{topic} holds {codec} frames, samples are needed: start the capture node with "
                "format:=wave",
            )
            raise self._coded
        says = "as audio_info says" if self._info else ""
        if finding := self._check.finding(topic, says, "audio_{name}:={value}"):
            self._problem(topic, finding)

    def _format(self) -> AudioFormat:
        parameters = self._parameters
        return self._info or AudioFormat(
            parameters["audio_format"], parameters["audio_channels"],
            parameters["audio_rate"],
        )

    def _on_audio_info(self, msg: Message) -> None:
        try:
            info = read_audio_info(msg)
            if info != self._info:
                self._info, self._coded = info, None
        except AvsError as error:
            self._coded = error
            raise
