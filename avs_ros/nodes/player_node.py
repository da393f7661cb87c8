"""Plays a video file or a bag as camera and microphone topics, in real time, with /clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock as ClockMessage

from avs_ros.conversions.camera import copy_camera_info, make_camera_info
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import make_header, ns_to_stamp
from avs_ros.errors import MediaError, ParameterError
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound
from avs_ros.nodes.declared_parameters import BaseNode
from avs_ros.nodes.entry_point import run_node
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.playback import PlaybackClock, in_order, start_stamp_ns
from avs_ros.nodes.sound_publisher import SoundPublisher
from avs_ros.nodes.topics import sibling_topic, transport_topic
from avs_ros.streaming.pcm import AudioFormat

_AUDIO_INFO_PERIOD_S = 1.0
_ACKNOWLEDGE_S = 2.0
_DISCOVERY_S = 2.5


class PlayerNode(BaseNode):
    """One recording, played once or in a loop; ``finished`` after its last message.

    Making it raises :class:`ParameterError`, :class:`MediaError` or :class:`BagError` when the
    input cannot be played, :class:`MessageTypeError` when ``audio_type`` is not installed.
    """

    TABLE = "player_node"

    def _set_up(self) -> None:
        self.finished = False
        self.failure: Exception | None = None
        self._started = False
        if not self._settings["input"]:
            raise ParameterError("parameter input is empty: name a video file or a bag to play")
        self._path = Path(self._settings["input"]).expanduser()
        self._open()
        self._zero_ns = self._first[1].stamp_ns
        self._start_ns = self._start_stamp()
        self._playback = PlaybackClock(self._settings["rate"], paused=True)
        self._audio = SoundPublisher(self, self._settings["audio_type"], _AUDIO_INFO_PERIOD_S)
        self._images = self._create_publishers()
        if self._settings["publish_clock"]:
            self._clock_publisher = self.publisher(self.topics["/clock"])
            period_s = 1.0 / self._settings["clock_rate"]
            self.steady_timer(period_s, self._publish_clock)
        info = self._source.info
        self.get_logger().info(
            f"{info.name}: {info.width} x {info.height} at {info.fps:.4g} Hz, sound "
            f"{info.audio_rate_hz} Hz x {info.audio_channels}, {info.duration_s:.1f} s"
        )
        for message in self._source.doubts:
            self.get_logger().warning(message)
        self._thread = threading.Thread(target=self._play, name="avs-player", daemon=True)
        self._thread.start()

    def destroy_node(self) -> None:
        """Stop playing, close the file, then take the node off the graph."""
        self._playback.stop()
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._source.close()
        super().destroy_node()

    def _open(self) -> None:
        """Open the recording, for the first time or again, and read what is due first."""
        settings = self._settings
        names = {
            "sample_format": "audio_format", "channels": "audio_channels", "rate": "audio_rate",
        }
        # Of sound that does not say it itself.
        given = {name: value for name, one in names.items() if (value := settings[one])}
        self._source = open_recording(
            self._path, settings["image_topic"], settings["audio_topic"],
            audio_format=AudioFormat(**given) if given else None,
        )
        self._upcoming = in_order(self._source.events(), settings["audio_chunk"])
        if (first := next(self._upcoming, None)) is None:
            raise MediaError(f"{self._path}: neither images nor sound can be read from it")
        self._first = first

    def _start_stamp(self) -> int:
        return start_stamp_ns(self._settings["start_stamp"], time.time_ns(), self._zero_ns)

    def _create_publishers(self) -> dict[str, Publisher]:
        # Remapping `image` takes what belongs to it along, as camera drivers lay it out.
        beside = {
            "camera_info": sibling_topic(self, "camera_info", "image"), "image": "image",
            "image/compressed": transport_topic(self, "image", "compressed"),
        }
        unwanted = {"Image": "image/compressed", "CompressedImage": "image"}
        return {
            name: self.publisher(self.topics[name], topic) for name, topic in beside.items()
            if name != unwanted.get(self._settings["image_type"])
        }

    def apply_settings(self, values: Mapping[str, Any]) -> None:
        """Speed and hold take effect at once (but nothing starts before its subscribers)."""
        self._playback.set(rate=values["rate"], paused=values["paused"] or not self._started)

    # ---------------------------------------------------------------- the playing thread

    def _play(self) -> None:
        try:
            self._wait_for_subscribers()
            # "now" is when it begins to play: stamps and wall clock then agree.
            self._start_ns = self._start_stamp()
            self._started = True
            self._playback.set(paused=self._settings["paused"])
            counts = self._play_all()
            self._wait_until_received()
            self.get_logger().info(f"played {counts[0]} images, {counts[1]} chunks of sound")
        except Exception as error:
            # Without a context (somebody else ended it) nothing can be published any more.
            if self.context.ok() and not self._playback.stopped:
                self.failure = error
                self.get_logger().error(f"playing stopped: {error}")
        finally:
            self.finished = True

    def _play_all(self) -> tuple[int, int]:
        """Every pass through the recording; images and chunks published."""
        images = chunks = 0
        offset_ns = 0
        while True:
            last_ns = 0
            for due_ns, event in chain((self._first,), self._upcoming):
                last_ns = due_ns - self._zero_ns
                if not self._playback.wait_until(last_ns + offset_ns):
                    return images, chunks
                stamp_ns = self._start_ns + event.stamp_ns - self._zero_ns + offset_ns
                if isinstance(event, Sound):
                    self._audio.publish(event, stamp_ns, self._settings["audio_frame_id"])
                    chunks += 1
                else:
                    self._publish_frame(event, stamp_ns)
                    images += 1
            if not self._settings["loop"]:
                return images, chunks
            if self._settings["loop_jumps_back"]:
                self._playback.seek(0)
            else:
                # One frame's time between the last and the first image.
                offset_ns += last_ns + round(1e9 / max(self._source.info.fps, 1.0))
            self._source.close()
            self._open()

    def _wait_for_subscribers(self) -> None:
        """Until somebody listens to images and to sound, or the time for it is over.

        Discovery goes on for a moment after the first one: those who were there before the
        player, a recorder for example, shall miss nothing.
        """
        until = time.monotonic() + self._settings["wait_for_subscribers"]
        images = [pub for name, pub in self._images.items() if name != "camera_info"]
        every = [*self._images.values(), self._audio.publisher]
        counts, since = [0], time.monotonic()
        while time.monotonic() < until and not self._playback.stopped:
            now = [pub.get_subscription_count() for pub in every]
            if now != counts:
                counts, since = now, time.monotonic()
            heard = any(pub.get_subscription_count() for pub in images)
            if heard and now[-1] and time.monotonic() - since > _DISCOVERY_S:
                return
            time.sleep(0.02)
        if self._settings["wait_for_subscribers"] and not self._playback.stopped:
            self.get_logger().warning("nobody subscribes to images and sound: playing anyway")

    def _wait_until_received(self) -> None:
        """Give reliable subscribers the last messages before the node may go."""
        if self._playback.stopped or self._settings["qos"] != "reliable":
            return
        timeout = Duration(seconds=_ACKNOWLEDGE_S)
        for publisher in (*self._images.values(), self._audio.publisher):
            publisher.wait_for_all_acked(timeout)

    # ---------------------------------------------------------------- messages

    def _publish_frame(self, frame: Frame, stamp_ns: int) -> None:
        try:
            rgb = frame.decode()
        except Exception as error:  # a decoder's too: one damaged image is no reason to stop
            self.get_logger().warning(f"image left out: {error}", throttle_duration_sec=5.0)
            return
        header = make_header(ROS, stamp_ns, self._settings["frame_id"])
        height, width = rgb.shape[:2]
        if (recorded := self._source.camera_info) is not None:
            camera = copy_camera_info(ROS, header, recorded)
        else:
            fov = self._settings["horizontal_fov"]
            camera = make_camera_info(ROS, header, width, height, fov)
        self._images["camera_info"].publish(camera)
        if (publisher := self._images.get("image")) is not None:
            publisher.publish(make_image(ROS, header, rgb))
        if (publisher := self._images.get("image/compressed")) is not None:
            publisher.publish(rgb_to_compressed(ROS, header, rgb))

    def _publish_clock(self) -> None:
        stamp = ns_to_stamp(ROS, self._start_ns + self._playback.now())
        self._clock_publisher.publish(ClockMessage(clock=stamp))


def _play_to_the_end(node: PlayerNode) -> bool:
    if not (node.finished and node.get_parameter("exit_when_done").value):
        return False
    if node.failure is not None:
        raise node.failure
    return True


def main(args: Sequence[str] | None = None) -> int:
    """Play until the end (``exit_when_done``) or an interrupt; returns the exit status."""
    return run_node(PlayerNode, args, _play_to_the_end)
