"""A rosbag2 as a source: one image topic and one sound topic of it, by header stamps.

Reads folders, ``.mcap`` and ``.db3`` files of every distribution through rosbags; needs no ROS.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from avs_ros.conversions import (
    AUDIO_TYPES,
    AudioFormat,
    check_picture,
    read_audio,
    read_audio_info,
    read_picture,
    stamp_to_ns,
)
from avs_ros.errors import AvsError, BagError, MissingDependencyError
from avs_ros.media.bag_types import typestore_for
from avs_ros.media.source import Frame, Sound, SourceInfo, merge

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
AUDIO_INFO = "audio_common_msgs/msg/AudioInfo"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
# Words in the names of image topics that are not what a camera sees.
NOT_A_CAMERA = ("depth", "mask", "overlay", "ground_truth", "label", "probability", "disparity",
                "infra", "heatmap", "cost")


@dataclass(frozen=True)
class BagOptions:
    """What cannot be read off every bag.

    ``image``, ``audio``: topics ("" chooses by type).  ``stamps``: "header", or "bag" to go by
    the times of recording.  ``audio_format``: for ``AudioDataStamped`` without ``AudioInfo``.
    """

    image: str = ""
    audio: str = ""
    stamps: str = "header"
    audio_format: AudioFormat = field(default_factory=AudioFormat)


class BagSource:
    """Frames and sound of one bag.  Raises :class:`BagError` when it lacks what is needed.

    ``counters``: messages that could not be used, by topic kind (``malformed_images``,
    ``malformed_sounds``); the first one's reason is in ``info.details``.  ``camera_info``: the
    first ``CameraInfo`` beside the pictures, as the bag's own message; None without one.
    """

    def __init__(self, path: Path, options: BagOptions | None = None) -> None:
        """Open the bag, choose the topics, and read the first usable message of each."""
        self.path = path
        self.options = options or BagOptions()
        self.counters: dict[str, int] = {"malformed_images": 0, "malformed_sounds": 0}
        self._details: dict[str, str] = {}
        self._readers: list[Any] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        # One reader for each stream: each walks the file at its own pace.
        pictures, sounds = self._open(), self._open()
        image = self._choose(pictures, "image", IMAGE_TYPES, self.options.image)
        audio = self._choose(sounds, "sound", tuple(AUDIO_TYPES.values()), self.options.audio)
        self._format = self.options.audio_format
        beside = [c for c in sounds.connections if c.msgtype in (AUDIO_INFO, CAMERA_INFO)]
        if audio[0].msgtype == AUDIO_TYPES["AudioStamped"]:
            # Another package's AudioInfo goes by the same name.
            beside = [c for c in beside if c.msgtype != AUDIO_INFO]
        self._types = typestore_for(self.path, [*image, *audio, *beside])
        described = self._nearest(sounds, beside, AUDIO_INFO, audio[0].topic)
        if described is not None:
            self._format = read_audio_info(described)
        self.camera_info = self._nearest(sounds, beside, CAMERA_INFO, image[0].topic)
        self._frames = self._frame_events(pictures, image)
        self._sounds = self._sound_events(sounds, audio)
        first_frame, first_sound = next(self._frames, None), next(self._sounds, None)
        if first_frame is None:
            raise BagError(self._unusable("pictures", image[0].topic, "malformed_images"))
        if first_sound is None:
            raise BagError(self._unusable("sound", audio[0].topic, "malformed_sounds"))
        duration = pictures.duration * 1e-9
        apart = abs(first_frame.stamp_ns - first_sound.stamp_ns) * 1e-9
        if apart > duration + 60:
            raise BagError(
                f"{self.path}: the stamps of {image[0].topic} and {audio[0].topic} are "
                f"{apart:.0f} s apart in a bag of {duration:.0f} s, so no picture has its sound; "
                "their clocks disagree: try --stamps bag"
            )
        rgb = first_frame.decode()
        count = sum(c.msgcount for c in image)
        self._first = (first_frame, first_sound)
        samples = first_sound.samples
        channels = 1 if samples.ndim == 1 else int(samples.shape[1])
        self._details |= {
            "picture": f"{image[0].topic} ({image[0].msgtype}), {rgb.shape[1]}x{rgb.shape[0]}",
            "sound": f"{audio[0].topic} ({audio[0].msgtype}), {first_sound.rate_hz} Hz, "
            f"{channels} ch",
        }
        self.info = SourceInfo(
            self.path.name, "rosbag2", rgb.shape[1], rgb.shape[0],
            count / duration if duration > 0 else 0.0, count, duration,
            first_sound.rate_hz, channels, self._details,
        )

    def _open(self) -> Any:
        reader = open_reader(self.path)
        self._readers.append(reader)
        return reader

    def _choose(self, reader: Any, what: str, types: Sequence[str], topic: str) -> list[Any]:
        """Connections of the topic that was asked for, or of the likeliest one."""
        fitting = [c for c in reader.connections if c.msgtype in types]
        option = "--image" if what == "image" else "--audio"
        if topic:
            name = "/" + topic.lstrip("/")
            chosen = [c for c in fitting if c.topic == name]
            if not chosen:
                others = sorted({c.topic for c in fitting})
                kinds = {c.msgtype for c in reader.connections if c.topic == name}
                says = f"is {kinds.pop()}, not {what}" if kinds else "is not in the bag"
                offer = f"; its {what} topics: {', '.join(others)}" if others else ""
                raise BagError(f"{self.path}: topic {name} {says}{offer}")
            return chosen
        filled = [c for c in fitting if c.msgcount > 0]
        if not filled:
            has = ", ".join(sorted({c.topic for c in reader.connections})) or "no topics"
            raise BagError(
                f"{self.path}: no {what} topic with messages (looked for {', '.join(types)}; the "
                f"bag has {has})"
            )
        best = min(filled, key=lambda c: (_unlikely(c.topic), types.index(c.msgtype),
                                          -c.msgcount, c.topic))
        others = sorted({c.topic for c in filled} - {best.topic})
        if others:
            self._details[f"other {what} topics"] = f"{', '.join(others)} (choose with {option})"
        return [c for c in filled if c.topic == best.topic]

    def _nearest(
        self, reader: Any, connections: list[Any], kind: str, topic: str
    ) -> Any | None:
        """First message of ``kind`` on the topic that stands nearest to ``topic``, if any."""
        fitting = [c for c in connections if c.msgtype == kind and c.msgcount]
        if not fitting:
            return None

        def shared(name: str) -> int:
            return len(posixpath.commonpath([name, topic]))

        nearest = min(fitting, key=lambda c: (-shared(c.topic), c.topic))
        for connection, _, raw in reader.messages([nearest]):
            return self._types.deserialize_cdr(raw, connection.msgtype)
        return None

    def _unusable(self, what: str, topic: str, counter: str) -> str:
        reason = self._details.get(f"first {counter}", "there are no messages")
        hint = "; try --stamps bag" if "stamp" in reason else ""
        return f"{self.path}: no usable {what} on {topic} ({reason}){hint}"

    def _refuse(self, counter: str, error: Exception) -> None:
        self.counters[counter] += 1
        self._details.setdefault(f"first {counter}", str(error))

    def _messages(self, reader: Any, connections: list[Any]) -> Iterator[tuple[int, Any]]:
        try:
            for connection, recorded_ns, raw in reader.messages(connections):
                yield recorded_ns, self._types.deserialize_cdr(raw, connection.msgtype)
        except AvsError:
            raise
        except Exception as error:
            raise BagError(f"{self.path}: broken in the middle ({_says(error)})") from error

    def _frame_events(self, reader: Any, connections: list[Any]) -> Iterator[Frame]:
        for index, (recorded_ns, msg) in enumerate(self._messages(reader, connections)):
            stamp_ns = stamp_to_ns(msg.header.stamp)
            if self.options.stamps == "bag":
                stamp_ns = recorded_ns
            try:
                check_picture(msg)
                if stamp_ns == 0:
                    raise BagError("pictures with stamp 0 cannot be paired with sound")
            except AvsError as error:
                self._refuse("malformed_images", error)
                continue
            yield Frame(stamp_ns, index, partial(read_picture, msg), msg.header.frame_id)

    def _sound_events(self, reader: Any, connections: list[Any]) -> Iterator[Sound]:
        for recorded_ns, msg in self._messages(reader, connections):
            by_bag = self.options.stamps == "bag"
            if by_bag:
                _overwrite_stamp(msg, recorded_ns)
            try:
                chunk = read_audio(msg, self._format, recorded_ns)
            except AvsError as error:
                self._refuse("malformed_sounds", error)
                continue
            # A message is recorded when it is whole: its first sample is older by its length.
            length_ns = round(len(chunk.samples) * 1e9 / chunk.rate)
            stamp_ns = recorded_ns - length_ns if by_bag else chunk.stamp_ns
            yield Sound(stamp_ns, chunk.samples, chunk.rate)

    def connections(self) -> list[Any]:
        """All topics of the bag, as the reader describes them (topic, msgtype, msgcount)."""
        return list(self._readers[0].connections)

    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound; each frame after the sound up to its stamp."""
        return merge(_chain(self._first[0], self._frames), _chain(self._first[1], self._sounds))

    def close(self) -> None:
        """Close the file."""
        for reader in self._readers:
            with suppress(Exception):
                reader.close()
        self._readers = []


def open_reader(path: Path) -> Any:
    """A rosbags ``Reader`` that is open; the caller closes it.  Raises :class:`BagError`."""
    try:
        from rosbags.rosbag2 import Reader
    except ImportError as error:
        raise MissingDependencyError(
            "rosbags", "Reading bags", "pip install 'avs_ros[tools]'"
        ) from error
    reader = Reader(storage_of(path))
    try:
        reader.open()
    except Exception as error:  # a broken file breaks the reader in any way it likes
        raise BagError(
            f"{path}: cannot be read as a rosbag2 ({_says(error)}); if it was cut short, "
            "`ros2 bag reindex` may mend it"
        ) from error
    return reader


def storage_of(path: Path) -> Path:
    """The path that the reader takes: a folder without metadata stands for its only file."""
    if not path.exists():
        raise BagError(f"{path}: no such bag")
    if not path.is_dir() or (path / "metadata.yaml").exists():
        return path
    files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
    if len(files) != 1:
        found = f"{len(files)} storage files" if files else "no metadata.yaml and no storage file"
        raise BagError(f"{path}: the folder is not a rosbag2 ({found})")
    return files[0]


def _overwrite_stamp(msg: Any, stamp_ns: int) -> None:
    stamp = msg.header.stamp if hasattr(msg, "header") else getattr(msg, "timestamp", None)
    if stamp is not None:
        stamp.sec, stamp.nanosec = divmod(stamp_ns, 1_000_000_000)


def _says(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _unlikely(topic: str) -> int:
    return int(any(word in topic for word in NOT_A_CAMERA))


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
