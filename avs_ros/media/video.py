"""Video files as a source: frames at their presentation times, sound at its own.

The file is opened twice, once for each stream, so that neither waits in memory for the other
however the packets are interleaved.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import MediaError, MissingDependencyError
from avs_ros.media.source import Frame, Sound, SourceInfo, merge
from avs_ros.segmentation import Bytes

# ROS takes stamp 0 for "no stamp": the first sample or frame of a file is at one second.
START_NS = 1_000_000_000


def import_av() -> ModuleType:
    """PyAV, or the sentence that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError(
            "PyAV", "Reading and writing video files", "pip install 'avs_ros[tools]'"
        ) from error
    av.logging.set_level(av.logging.PANIC)
    return av


class VideoSource:
    """Frames and sound of one video file (mp4, mkv, mov, avi, webm, …).

    Stamps: presentation time in ns, shifted so that whatever comes first is at
    :data:`START_NS`.  Raises :class:`MediaError` when the file is missing, broken, or lacks a
    picture or sound stream.  ``counters``: ``broken_packets`` that could not be decoded and
    ``repaired_times``, frames whose presentation time was missing or ran backwards.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and decode the first frame and the first sound of it."""
        self.path = path
        self.counters: dict[str, int] = {"broken_packets": 0, "repaired_times": 0}
        self._av = import_av()
        self._first: Any = None
        self._pictures = self._open()
        self._sounds: Any = None
        try:
            self._sounds = self._open()
            self._start()
        except BaseException:
            self.close()
            raise

    def _open(self) -> Any:
        if not self.path.exists():
            raise MediaError(f"{self.path}: no such file")
        if self.path.stat().st_size == 0:
            raise MediaError(f"{self.path}: the file is empty (0 bytes)")
        try:
            return self._av.open(str(self.path))
        except (self._av.FFmpegError, UnicodeDecodeError) as error:
            raise MediaError(
                f"{self.path}: not a video that can be read ({_reason(error)}); "
                "is it broken or cut short?"
            ) from error

    def _start(self) -> None:
        video = self._pictures.streams.best("video")
        audio = self._sounds.streams.best("audio")
        if video is None:
            raise MediaError(f"{self.path}: has no picture stream")
        if audio is None:
            raise MediaError(
                f"{self.path}: has no sound stream, and without sound nothing can be found to "
                "make it; give a video with sound"
            )
        # Not by frames ("AUTO"): such decoders run ahead in threads of their own, and one of them
        # that wants Python's lock while the interpreter ends would wait for ever.
        video.thread_type = "SLICE"
        rate = video.average_rate or video.guessed_rate or video.base_rate
        self._frame_s = float(1 / rate) if rate else 1 / 25
        self._frames = self._timed(self._pictures, video, self._frame_s)
        self._chunks = self._timed(self._sounds, audio, 0.0)
        first_frame, first_chunk = next(self._frames, None), next(self._chunks, None)
        if first_frame is None:
            raise MediaError(f"{self.path}: no frame of it can be decoded; is it broken?")
        if first_chunk is None:
            raise MediaError(f"{self.path}: nothing of its sound stream can be decoded")
        self._first = (first_frame, first_chunk)
        self._zero_s = min(first_frame[0], first_chunk[0])
        height, width = _oriented_shape(first_frame[1])
        duration = float(self._pictures.duration or 0) / 1e6
        frames = int(video.frames or round(duration / self._frame_s))
        self.info = SourceInfo(
            self.path.name, "video file", width, height, 1 / self._frame_s, frames, duration,
            int(first_chunk[1].sample_rate), int(first_chunk[1].layout.nb_channels),
            {
                "picture": f"{video.codec_context.name}, {width}x{height}, "
                f"{1 / self._frame_s:.4g} fps",
                "sound": f"{audio.codec_context.name}, {first_chunk[1].sample_rate} Hz, "
                f"{first_chunk[1].layout.nb_channels} ch",
            },
        )

    def _timed(self, container: Any, stream: Any, step_s: float) -> Iterator[tuple[float, Any]]:
        """Decoded frames with their times in seconds; a packet that is broken is left out."""
        last: float | None = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except self._av.EOFError:
                return
            except self._av.InvalidDataError:
                self.counters["broken_packets"] += 1
                continue
            except self._av.FFmpegError:
                self.counters["broken_packets"] += 1
                return
            for frame in decoded:
                time = None if frame.pts is None else float(frame.pts * frame.time_base)
                if step_s and last is not None and (time is None or time <= last):
                    self.counters["repaired_times"] += 1
                    time = last + step_s
                elif time is None:
                    time = last if last is not None else 0.0
                last = time if step_s else time + frame.samples / frame.sample_rate
                yield time, frame

    def _stamp(self, time_s: float) -> int:
        return START_NS + round((time_s - self._zero_s) * 1e9)

    def _frame_events(self) -> Iterator[Frame]:
        for index, (time, frame) in enumerate(_chain(self._first[0], self._frames)):
            yield Frame(self._stamp(time), index, partial(_rgb, frame))

    def _sound_events(self) -> Iterator[Sound]:
        end_s: float | None = None
        for time, frame in _chain(self._first[1], self._chunks):
            # Matroska rounds times to a millisecond: within the rounding, sound is continuous.
            if end_s is not None and abs(time - end_s) <= 1.5 * float(frame.time_base):
                time = end_s
            end_s = time + frame.samples / frame.sample_rate
            yield Sound(self._stamp(time), _samples(frame), int(frame.sample_rate))

    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound in time order; each frame after the sound up to its stamp."""
        return merge(self._frame_events(), self._sound_events())

    def close(self) -> None:
        """Close the file and free its decoders now, not when the interpreter ends."""
        self._frames = self._chunks = iter(())
        self._first = None
        pictures, sounds = self._pictures, self._sounds
        self._pictures = self._sounds = None
        for container in (pictures, sounds):
            if container is not None:
                container.close()


def _chain(first: tuple[float, Any], rest: Iterator[tuple[float, Any]]) -> Iterator[Any]:
    yield first
    yield from rest


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _oriented_shape(frame: Any) -> tuple[int, int]:
    quarter = round(frame.rotation / 90) % 2
    return (frame.width, frame.height) if quarter else (frame.height, frame.width)


def _rgb(frame: Any) -> Bytes:
    """The picture as it is to be looked at: the container's rotation is applied."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _samples(frame: Any) -> NDArray[Any]:
    """int16, int32, uint8 or float32 ``[n, channels]`` of one decoded sound frame."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)
