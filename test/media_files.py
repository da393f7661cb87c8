"""Small recordings that tests write for themselves: videos and bags of a blinking lamp."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from avs_ros.media.bag_types import known_types

SECOND = 1_000_000_000


def lamp(width: int = 96, height: int = 64, lit: bool = True) -> np.ndarray:
    """A dark image; lit, its right third is bright."""
    image = np.full((height, width, 3), 30, np.uint8)
    if lit:
        image[height // 4 : 3 * height // 4, 2 * width // 3 :] = 230
    return image


def tone(seconds: float, rate: int = 16000, on: tuple[float, float] = (0.0, 1e9)) -> np.ndarray:
    """440 Hz at -9 dBFS from on[0] to on[1] seconds, silence elsewhere; float32 [n]."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * t) * ((t >= on[0]) & (t < on[1]))).astype(np.float32)


def write_video(
    path: Path,
    seconds: float = 2.0,
    fps: int = 10,
    size: tuple[int, int] = (96, 64),
    sound: bool = True,
    rate: int = 16000,
    layout: str = "mono",
    sample_format: str | None = None,
    codec: str = "aac",
    times: list[float] | None = None,
    sound_from: float = 0.0,
    on: tuple[float, float] = (0.0, 1e9),
) -> Path:
    """A video of the lamp with a tone; ``times``: when each frame is shown (None: regular)."""
    times = [i / fps for i in range(round(seconds * fps))] if times is None else times
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = size[0], size[1], "yuv420p"
        video.codec_context.time_base = Fraction(1, 90000)
        if sound:
            audio = container.add_stream(codec, rate=rate, layout=layout)
            channels = 2 if layout == "stereo" else 1
            samples = np.tile(tone(seconds, rate, on), (channels, 1))
            frame = _sound_frame(samples, sample_format or "fltp", layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(sound_from * rate)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        for time in times:
            image = av.VideoFrame.from_ndarray(lamp(*size), format="rgb24")
            image.pts, image.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(video.encode(image))
        container.mux(video.encode(None))
    return path


def _sound_frame(samples: np.ndarray, sample_format: str, layout: str) -> Any:
    if sample_format in ("s16", "s32", "u8", "flt"):
        samples = samples.T.reshape(1, -1)
    kinds = {"s16": (np.int16, 32767), "s32": (np.int32, 2**31 - 1), "fltp": (np.float32, 1),
             "flt": (np.float32, 1)}
    if sample_format == "u8":
        samples = np.round(samples * 127 + 128).astype(np.uint8)
    else:
        kind, scale = kinds[sample_format]
        samples = (samples.astype(np.float64) * scale).astype(kind)
    return av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples), format=sample_format, layout=layout
    )


class BagMaker:
    """Writes a bag with rosbags' own message classes, as another program would."""

    def __init__(
        self, path: Path, storage: str = "mcap", second_audio: bool = False,
        compression: tuple[CompressionMode, CompressionFormat] | None = None,
    ) -> None:
        """Begin the folder ``path``; ``second_audio`` takes mgonzs13's audio_common_msgs."""
        self.types = known_types(second_audio)
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        self._writer = Writer(path, version=9, storage_plugin=plugin)
        if compression is not None:
            self._writer.set_compression(*compression)
        self._writer.open()
        self._connections: dict[str, Any] = {}
        self.path = path

    def message(self, name: str, **fields: Any) -> Any:
        return self.types.types[name](**fields)

    def stamp(self, ns: int) -> Any:
        sec, nanosec = divmod(ns, SECOND)
        return self.message("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)

    def header(self, ns: int, frame_id: str = "camera") -> Any:
        return self.message("std_msgs/msg/Header", stamp=self.stamp(ns), frame_id=frame_id)

    def write(self, topic: str, kind: str, message: Any, recorded_ns: int) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self.types
            )
        data = self.types.serialize_cdr(message, kind)
        self._writer.write(self._connections[topic], recorded_ns, data)

    def damaged(self, topic: str, data: bytes, recorded_ns: int) -> None:
        """``data`` in place of a message, on a topic that has had one."""
        self._writer.write(self._connections[topic], recorded_ns, data)

    def unknown(self, topic: str, kind: str, definition: str, recorded_ns: int) -> None:
        connection = self._writer.add_connection(
            topic, kind, msgdef=definition, rihs01="RIHS01_" + "0" * 64
        )
        self._writer.write(connection, recorded_ns, b"\x00\x01\x00\x00")

    def image(self, ns: int, rgb: np.ndarray, topic: str = "/camera/image_raw",
              recorded_ns: int | None = None, **changes: Any) -> None:
        fields = {
            "header": self.header(ns), "height": rgb.shape[0], "width": rgb.shape[1],
            "encoding": "rgb8", "is_bigendian": 0, "step": rgb.shape[1] * 3,
            "data": rgb.reshape(-1), **changes,
        }
        kind = "sensor_msgs/msg/Image"
        self.write(topic, kind, self.message(kind, **fields), recorded_ns or ns)

    def compressed(
        self, ns: int, data: bytes, topic: str = "/camera/image_raw/compressed"
    ) -> None:
        kind = "sensor_msgs/msg/CompressedImage"
        message = self.message(kind, header=self.header(ns), format="jpeg",
                               data=np.frombuffer(data, np.uint8))
        self.write(topic, kind, message, ns)

    def raw_audio(self, ns: int, samples: np.ndarray, rate: int = 16000, topic: str = "/audio",
                  recorded_ns: int | None = None) -> None:
        kind = "foxglove_msgs/msg/RawAudio"
        message = self.message(
            kind, timestamp=self.stamp(ns), data=_pcm16(samples).view(np.uint8), format="pcm-s16",
            sample_rate=rate, number_of_channels=1,
        )
        self.write(topic, kind, message, recorded_ns or ns)

    def audio_data_stamped(self, ns: int, samples: np.ndarray, topic: str = "/audio") -> None:
        kind = "audio_common_msgs/msg/AudioDataStamped"
        data = self.message("audio_common_msgs/msg/AudioData", data=_pcm16(samples).view(np.uint8))
        self.write(topic, kind, self.message(kind, header=self.header(ns), audio=data), ns)

    def audio_info(self, ns: int, rate: int, topic: str = "/audio_info") -> None:
        kind = "audio_common_msgs/msg/AudioInfo"
        message = self.message(kind, channels=1, sample_rate=rate, sample_format="S16LE",
                               bitrate=0, coding_format="WAVE")
        self.write(topic, kind, message, ns)

    def audio_stamped(
        self, ns: int, samples: np.ndarray, rate: int, topic: str = "/audio"
    ) -> None:
        empty = {"float32_data": np.zeros(0, np.float32), "int32_data": np.zeros(0, np.int32),
                 "int16_data": _pcm16(samples), "int8_data": np.zeros(0, np.int8),
                 "uint8_data": np.zeros(0, np.uint8)}
        data = self.message("audio_common_msgs/msg/AudioData", **empty)
        info = self.message("audio_common_msgs/msg/AudioInfo", format=8, channels=1, rate=rate,
                            chunk=len(samples))
        audio = self.message("audio_common_msgs/msg/Audio", audio_data=data, info=info)
        kind = "audio_common_msgs/msg/AudioStamped"
        self.write(topic, kind, self.message(kind, header=self.header(ns), audio=audio), ns)

    def camera_info(
        self, ns: int, width: int = 96, height: int = 64,
        topic: str = "/camera/camera_info", focal: float = 80.0,
    ) -> None:
        kind = "sensor_msgs/msg/CameraInfo"
        k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], float)
        p = np.array([focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0], float)
        roi = self.message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0,
                           width=0, do_rectify=False)
        message = self.message(
            kind, header=self.header(ns), height=height, width=width, distortion_model="plumb_bob",
            d=np.zeros(5), k=k, r=np.eye(3).reshape(-1), p=p, binning_x=0, binning_y=0, roi=roi,
        )
        self.write(topic, kind, message, ns)

    def close(self) -> Path:
        self._writer.close()
        return self.path


def _pcm16(samples: np.ndarray) -> np.ndarray:
    return np.round(samples * 32767).astype(np.int16)


def write_bag(
    path: Path, storage: str = "mcap", family: str = "RawAudio", seconds: float = 1.5,
    fps: int = 10, rate: int = 16000, start_ns: int = 1_700_000_000 * SECOND,
) -> Path:
    """A bag of the lamp with a tone in one of the three families; returns its folder."""
    bag = BagMaker(path, storage, second_audio=family == "AudioStamped")
    if family == "AudioDataStamped":
        bag.audio_info(start_ns, rate)
    sound = tone(seconds, rate)
    chunk = rate // 20
    for first in range(0, len(sound), chunk):
        ns = start_ns + first * SECOND // rate
        piece = sound[first : first + chunk]
        if family == "RawAudio":
            bag.raw_audio(ns, piece, rate)
        elif family == "AudioDataStamped":
            bag.audio_data_stamped(ns, piece)
        else:
            bag.audio_stamped(ns, piece, rate)
    for i in range(round(seconds * fps)):
        bag.image(start_ns + i * SECOND // fps, lamp())
    return bag.close()
