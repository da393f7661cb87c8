"""A rosbag2 as a source: one image topic and one sound topic of it, by header stamps.

Reads folders, ``.mcap`` and ``.db3`` files of every distribution through rosbags; needs no ROS.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from avs_ros.conversions.audio import AUDIO_INFO, AUDIO_TYPES, FORMATLESS, read_audio
from avs_ros.conversions.camera import CAMERA_INFO, read_camera_info
from avs_ros.conversions.image_reading import check_any_image, read_any_image
from avs_ros.conversions.messages import MalformedImage, stamp_to_ns
from avs_ros.errors import AvsError, BagError
from avs_ros.media.bag_choices import choose_topic, find_format
from avs_ros.media.bag_files import broken, open_reader
from avs_ros.media.bag_types import typestore_for
from avs_ros.media.source import Frame, Sound, Source, SourceInfo, in_stamp_order, merge
from avs_ros.streaming.findings import Findings
from avs_ros.streaming.pcm import AudioFormat
from avs_ros.streaming.sound_format import CHUNKS

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@dataclass(frozen=True)
class BagOptions:
    """What cannot be read off every bag.

    ``image``, ``audio``: topics ("" chooses by type).  ``stamps``: "header", or "bag" to go by
    the times of recording.  ``audio_format``: of sound messages that do not carry it
    (``AudioDataStamped``, ``AudioData``), whatever an ``AudioInfo`` says; None goes by that, and
    without it assumes 16 kHz, one channel, S16LE.
    """

    image: str = ""
    audio: str = ""
    stamps: str = "header"
    audio_format: AudioFormat | None = None


class BagSource(Source):
    """Frames and sound of one bag.  Raises :class:`BagError` when it lacks what is needed.

    ``counters``: messages that could not be used, by topic kind (``malformed_images``,
    ``malformed_sounds``), and a calibration that cannot (``camera_distortion``,
    ``camera_uncalibrated``); the first one's reason is in ``info.details``.  ``camera_info``: the
    first ``CameraInfo`` beside the images, as the bag's own message; None without one.
    ``doubts``: what contradicts the format of the sound, and a calibration of no use.
    """

    def __init__(self, path: Path, options: BagOptions | None = None) -> None:
        """Open the bag, choose the topics, and read the first usable message of each."""
        super().__init__("malformed_images", "malformed_sounds")
        self.path = path
        self.options = options or BagOptions()
        self._delays: dict[str, list[int]] = {"image": [], "sound": []}
        self._details: dict[str, str] = {}
        self._readers: list[Any] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        # One reader for each stream: each walks the file at its own pace.
        images, sounds = self._open(), self._open()
        audio_types = tuple(AUDIO_TYPES.values())
        image = self._choose(images, "image", "--image", IMAGE_TYPES, self.options.image)
        audio = self._choose(sounds, "sound", "--audio", audio_types, self.options.audio)
        beside = [c for c in sounds.connections if c.msgtype in (AUDIO_INFO, CAMERA_INFO)]
        if audio[0].msgtype == AUDIO_TYPES["AudioStamped"]:
            # Another package's AudioInfo goes by the same name.
            beside = [c for c in beside if c.msgtype != AUDIO_INFO]
        self._types = typestore_for(self.path, [*image, *audio, *beside])
        self._format = self._find_format(sounds, audio, beside)
        self.camera_info = self._nearest(sounds, beside, CAMERA_INFO, image[0].topic)
        self._check_camera()
        frames = in_stamp_order(self._frame_events(images, image))
        chunks = in_stamp_order(self._sound_events(sounds, audio))
        first_frame, rgb = self._first_image(frames)
        first_sound = next(chunks, None)
        if first_frame is None:
            raise BagError(self._unusable("images", image[0].topic, "malformed_images"))
        if first_sound is None:
            raise BagError(self._unusable("sound", audio[0].topic, "malformed_sounds"))
        duration = images.duration * 1e-9
        apart = abs(first_frame[0].stamp_ns - first_sound[0].stamp_ns) * 1e-9
        if apart > duration + 60:
            raise BagError(
                f"{self.path}: the stamps of {image[0].topic} and {audio[0].topic} are "
                f"{apart:.0f} s apart in a bag of {duration:.0f} s, so no image has its sound; "
                "their clocks disagree: try --stamps bag"
            )
        self._frames, self._sounds = chain((first_frame,), frames), chain((first_sound,), chunks)
        count = sum(c.msgcount for c in image)
        samples, rate_hz = first_sound[0].samples, first_sound[0].rate_hz
        channels = 1 if samples.ndim == 1 else int(samples.shape[1])
        self._details |= {
            "image": f"{image[0].topic} ({image[0].msgtype}), {rgb.shape[1]}x{rgb.shape[0]}",
            "sound": f"{audio[0].topic} ({audio[0].msgtype}), {rate_hz} Hz, {channels} ch",
        }
        self.info = SourceInfo(
            self.path.name, "rosbag2", rgb.shape[1], rgb.shape[0],
            count / duration if duration > 0 else 0.0, count, duration,
            rate_hz, channels, self._details,
        )

    def _choose(
        self, reader: Any, what: str, option: str, types: tuple[str, ...], topic: str
    ) -> list[Any]:
        chosen, others = choose_topic(self.path, reader.connections, what, types, topic)
        if others:
            told = f"{', '.join(others)} (choose with {option})"
            self._details[f"other {what} topics"] = told
        return chosen

    def _first_image(
        self, frames: Iterator[tuple[Frame, int]]
    ) -> tuple[tuple[Frame, int] | None, Any]:
        """The first frame that can be decoded, and its pixels; those before it are refused."""
        for frame, recorded_ns in frames:
            try:
                return (frame, recorded_ns), frame.decode()
            except AvsError as error:
                self._refuse("malformed_images", error)
        return None, None

    def _check_camera(self) -> None:
        """Say that a calibration cannot be used; a camera without one is nothing unusual."""
        try:
            if self.camera_info is not None:
                self.camera = read_camera_info(self.camera_info)
        except MalformedImage as error:
            self.counters[error.reason] = 1
            if error.reason == "camera_distortion":
                self.doubts.append(f"no directions can be given: {error}")

    def _find_format(self, reader: Any, audio: list[Any], beside: list[Any]) -> AudioFormat:
        """What the sound messages do not say themselves."""
        given, topic = self.options.audio_format, audio[0].topic
        self._says_format, self._format_doubted = audio[0].msgtype not in FORMATLESS, False
        if self._says_format:
            if given is not None:
                raise BagError(
                    f"{self.path}: {topic} ({audio[0].msgtype}) says the format of its sound; "
                    "leave --audio-rate, --audio-channels and --audio-format away"
                )
            return AudioFormat()
        info = self._nearest(reader, beside, AUDIO_INFO, topic) if given is None else None
        chunks = self._messages(reader, audio, CHUNKS)
        try:
            form, doubt = find_format(topic, given, info, chunks, self.options.stamps == "header")
        except AvsError as error:
            raise BagError(f"{self.path}: {error}") from error
        self._format_doubted = bool(doubt)
        self.doubts += [doubt] if doubt else []
        return form

    def _open(self) -> Any:
        reader = open_reader(self.path)
        self._readers.append(reader)
        return reader

    def _nearest(self, reader: Any, connections: list[Any], kind: str, topic: str) -> Any | None:
        """First message of ``kind`` on the topic that stands nearest to ``topic``, if any."""
        fitting = [c for c in connections if c.msgtype == kind and c.msgcount]
        if not fitting:
            return None
        nearest = min(
            fitting, key=lambda c: (-len(posixpath.commonpath([c.topic, topic])), c.topic)
        )
        return next((message for _, message in self._messages(reader, [nearest])), None)

    def _unusable(self, what: str, topic: str, counter: str) -> str:
        reason = self._details.get(f"first {counter}", "there are no messages")
        hint = "; try --stamps bag" if "stamp" in reason else ""
        return f"{self.path}: no usable {what} on {topic} ({reason}){hint}"

    def _refuse(self, counter: str, error: Exception) -> None:
        self.counters[counter] += 1
        self._details.setdefault(f"first {counter}", str(error))

    def _messages(
        self, reader: Any, connections: list[Any], most: int | None = None, counter: str = ""
    ) -> Iterator[tuple[int, Any]]:
        """Time of recording and message; those that are damaged are refused under ``counter``."""
        messages = islice(reader.messages(connections), most)
        while True:
            try:
                item = next(messages, None)
            except Exception as error:  # a broken file breaks the reader in any way it likes
                raise broken(self.path, "broken in the middle", error) from error
            if item is None:
                return
            connection, recorded_ns, raw = item
            try:
                message = self._types.deserialize_cdr(raw, connection.msgtype)
            except Exception as error:  # as does a damaged message
                if counter:
                    says = str(error) or type(error).__name__
                    self._refuse(counter, BagError(f"a message that cannot be read: {says}"))
                continue
            yield recorded_ns, message

    def _frame_events(self, reader: Any, connections: list[Any]) -> Iterator[tuple[Frame, int]]:
        messages = self._messages(reader, connections, counter="malformed_images")
        for index, (recorded_ns, msg) in enumerate(messages):
            stamp_ns = stamp_to_ns(msg.header.stamp)
            if self.options.stamps == "bag":
                stamp_ns = recorded_ns
            try:
                check_any_image(msg)
                if stamp_ns == 0:
                    raise BagError("images with stamp 0 cannot be paired with sound")
            except AvsError as error:
                self._refuse("malformed_images", error)
                continue
            self._delays["image"].append(recorded_ns - stamp_ns)
            frame = Frame(stamp_ns, index, partial(read_any_image, msg), msg.header.frame_id)
            yield frame, recorded_ns

    def _sound_events(self, reader: Any, connections: list[Any]) -> Iterator[tuple[Sound, int]]:
        for recorded_ns, msg in self._messages(reader, connections, counter="malformed_sounds"):
            by_bag = self.options.stamps == "bag"
            if by_bag:
                _overwrite_stamp(msg, recorded_ns)
            try:
                sound = read_audio(msg, self._format, recorded_ns)
            except AvsError as error:
                self._refuse("malformed_sounds", error)
                continue
            # A message is recorded when it is whole: its first sample is older by its length.
            length_ns = sound.end_ns - sound.stamp_ns
            if by_bag:
                sound = replace(sound, stamp_ns=recorded_ns - length_ns)
            self._delays["sound"].append(recorded_ns - sound.end_ns)
            yield sound, recorded_ns

    def tell(self, findings: Findings) -> None:
        """Add what the times of recording show, and why messages were refused.

        Delays on the way are in those times: below a second they mean nothing.
        """
        images, sounds = (np.median(delays) if delays else 0 for delays in self._delays.values())
        findings.clocks_apart_s = float(sounds - images) * 1e-9
        findings.format_doubted, findings.format_given = self._format_doubted, self._says_format
        findings.reasons = {
            name: self._details[f"first {name}"] for name in self.counters
            if f"first {name}" in self._details
        }

    def connections(self) -> list[Any]:
        """All topics of the bag, as the reader describes them (topic, msgtype, msgcount)."""
        return list(self._readers[0].connections)

    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound; each frame after the sound up to its stamp."""
        return merge(self._frames, self._sounds)

    def close(self) -> None:
        """Close the file."""
        for reader in self._readers:
            with suppress(Exception):
                reader.close()
        self._readers = []


def _overwrite_stamp(msg: Any, stamp_ns: int) -> None:
    stamp = msg.header.stamp if hasattr(msg, "header") else getattr(msg, "timestamp", None)
    if stamp is not None:
        stamp.sec, stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
