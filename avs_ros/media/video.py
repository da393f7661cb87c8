"""Video files as a source: frames at their presentation times, sound at its own.

The file is opened twice, once for each stream, so that neither waits in memory for the other
however the packets are interleaved.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import MediaError
from avs_ros.media.decoding import Decoding, import_av, local_url
from avs_ros.media.source import Frame, Sound, Source, SourceInfo, merge
from avs_ros.segmentation import Bytes
from avs_ros.streaming.findings import Findings

# (transpose, flip left-right, flip top-bottom), in this order
Orientation = tuple[bool, bool, bool]
UPRIGHT: Orientation = (False, False, False)


def orientation_of(frame: Any) -> Orientation:
    """The nearest of the eight ways in which a decoded frame may have to be turned and mirrored.

    The matrix (ISO 14496-12, 16.16 fixed point) takes a pixel (x, y) to
    (m[0] x + m[3] y, m[1] x + m[4] y); a negative determinant mirrors.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX" and data.buffer_size >= 36:
            m = struct.unpack("=9i", bytes(data)[:36])
            if abs(m[1]) + abs(m[3]) > abs(m[0]) + abs(m[4]):
                return True, m[3] < 0, m[1] < 0
            return False, m[0] < 0, m[4] < 0
    return UPRIGHT


def oriented(image: Bytes, orientation: Orientation) -> Bytes:
    """``image`` uint8 ``[H, W, 3]`` turned and mirrored, contiguous."""
    transpose, left_right, top_bottom = orientation
    if transpose:
        image = image.transpose(1, 0, 2)
    if left_right:
        image = image[:, ::-1]
    if top_bottom:
        image = image[::-1]
    return np.ascontiguousarray(image)


# ROS takes stamp 0 for "no stamp": the first sample or frame of a file is at one second.
START_NS = 1_000_000_000
# Containers that do not know their rate give that of their clock (1000 Hz in Matroska).
HIGHEST_FPS = 240
# Sound missing for less than this where a packet was broken is filled with silence at once.
PACKET_S = 1.0


class VideoSource(Source):
    """Frames and sound of one video file (mp4, mkv, mov, avi, webm, …).

    Stamps: presentation time in ns, shifted so that whatever comes first is at
    :data:`START_NS`; where the file's time starts anew (joined files), image and sound go on
    together.  Images are turned and mirrored as players show them.  Raises
    :class:`MediaError` when the file is missing, broken, or lacks an image or sound stream.
    ``counters``: ``broken_packets`` that could not be decoded and were left out;
    ``empty_packets`` without content (a repeated image); ``repaired_times``, frames whose
    presentation time was missing or ran backwards; ``joined_parts`` after the first.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and decode the first frame and the first sound of it."""
        super().__init__("broken_packets", "empty_packets", "repaired_times", "joined_parts")
        self.path = path
        self._av = import_av()
        self._decoding = Decoding(self._open, self.counters)
        self._images = self._open()
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
            return self._av.open(local_url(self.path), metadata_errors="replace")
        except (self._av.FFmpegError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MediaError(
                f"{self.path}: not a video that can be read ({reason}); "
                "is it broken or cut short?"
            ) from error

    def _start(self) -> None:
        video = self._image_stream()
        audio = self._sounds.streams.best("audio")
        if audio is None:
            raise MediaError(
                f"{self.path}: has no sound stream, and without sound nothing can be found to "
                "make it; give a video with sound"
            )
        self._decoding.indices = (video.index, self._known(audio).index)
        # Not by frames ("AUTO"): such decoders run ahead in threads of their own, and one of them
        # that wants Python's lock while the interpreter ends would wait for ever.
        video.thread_type = "SLICE"
        frame_s = self._frame_time(video)
        images = self._timed(self._images, video, frame_s)
        chunks = self._timed(self._sounds, audio, 0.0)
        first_frame, first_chunk = next(images, None), next(chunks, None)
        if first_frame is None:
            raise MediaError(f"{self.path}: no frame of it can be decoded; is it broken?")
        if first_chunk is None:
            raise MediaError(f"{self.path}: nothing of its sound stream can be decoded")
        self._frames: Iterator[tuple[float, Any]] = chain((first_frame,), images)
        self._chunks: Iterator[tuple[float, Any]] = chain((first_chunk,), chunks)
        self._zero_s = min(first_frame[0], first_chunk[0])
        orientation = orientation_of(first_frame[1])
        sides = (first_frame[1].width, first_frame[1].height)
        width, height = sides[::-1] if orientation[0] else sides
        aspect = Fraction(video.sample_aspect_ratio or 1)
        aspect = 1 / aspect if orientation[0] and aspect else aspect or Fraction(1)
        duration = float(self._images.duration or 0) / 1e6
        frames = int(video.frames or round(duration / frame_s))
        fps = 1 / frame_s
        shape = f", pixels {aspect.numerator}:{aspect.denominator}" if aspect != 1 else ""
        self.info = SourceInfo(
            self.path.name, "video file", width, height, fps, frames, duration,
            int(first_chunk[1].sample_rate), int(first_chunk[1].layout.nb_channels),
            {
                "image": f"{video.codec_context.name}, {width}x{height}, {fps:.4g} fps{shape}",
                "sound": f"{audio.codec_context.name}, {first_chunk[1].sample_rate} Hz, "
                f"{first_chunk[1].layout.nb_channels} ch",
            },
            aspect,
        )

    def _image_stream(self) -> Any:
        """The film's stream; a song's cover is none."""
        streams = self._images.streams
        cover = self._av.stream.Disposition.attached_pic
        films = [one for one in streams.video if not one.disposition & cover]
        if not films:
            only = " (only a cover)" if streams.video else ""
            raise MediaError(f"{self.path}: has no image stream{only}; give a video")
        best = streams.best("video")
        chosen = best if best in films else films[0]
        return self._known(chosen)

    def _known(self, stream: Any) -> Any:
        if stream.codec_context is None:
            kind = {"video": "image", "audio": "sound"}[stream.type]
            raise MediaError(
                f"{self.path}: its {kind} stream is in a format that FFmpeg does not know here; "
                "convert it first"
            )
        return stream

    def _frame_time(self, video: Any) -> float:
        """Seconds from frame to frame: the container's word, else from the first times."""
        for rate in (video.average_rate, video.guessed_rate):
            if rate and 0 < rate <= HIGHEST_FPS:
                return float(1 / rate)
        times: list[float] = []
        with self._open() as container:
            for packet in container.demux(container.streams[video.index]):
                if packet.pts is not None:
                    times.append(float(packet.pts * packet.time_base))
                if len(times) == 100:
                    break
        steps = np.diff(np.unique(times))
        return float(np.median(steps)) if len(steps) else 1 / 25

    def _timed(self, container: Any, stream: Any, step_s: float) -> Iterator[tuple[float, Any]]:
        """Decoded frames with their times in seconds; a packet that is broken is left out."""
        last: float | None = None
        for frame in self._decoding.frames(container, stream):
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
        for index, (time, frame) in enumerate(self._frames):
            yield Frame(self._stamp(time), index, partial(_rgb, frame))

    def _sound_events(self) -> Iterator[Sound]:
        end_s: float | None = None
        for time, frame in self._chunks:
            if end_s is not None:
                missing_s = time - end_s
                rate = int(frame.sample_rate)
                # Matroska rounds times to a millisecond: within the rounding, sound is continuous.
                if abs(missing_s) <= 1.5 * float(frame.time_base):
                    time = end_s
                elif 0 < missing_s < PACKET_S and self.counters["broken_packets"]:
                    # What follows keeps its place to the sample.
                    channels = frame.layout.nb_channels
                    silence = np.zeros((round(missing_s * rate), channels), np.float32)
                    yield Sound(self._stamp(end_s), silence, rate)
            end_s = time + frame.samples / frame.sample_rate
            yield Sound(self._stamp(time), _samples(frame), int(frame.sample_rate))

    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound in time order; each frame after the sound up to its stamp."""
        frames, sounds = self._frame_events(), self._sound_events()
        return merge(((f, f.stamp_ns) for f in frames), ((s, s.stamp_ns) for s in sounds))

    def tell(self, findings: Findings) -> None:
        """Add how much was read."""
        findings.packets = self._decoding.packets

    def close(self) -> None:
        """Close the file and free its decoders now, not when the interpreter ends."""
        self._frames = self._chunks = iter(())
        images, sounds = self._images, self._sounds
        self._images = self._sounds = None
        for container in (images, sounds):
            if container is not None:
                container.close()


def _rgb(frame: Any) -> Bytes:
    """The image as it is to be looked at."""
    return oriented(frame.to_ndarray(format="rgb24"), orientation_of(frame))


def _samples(frame: Any) -> NDArray[Any]:
    """int16, int32, uint8 or float32 ``[n, channels]`` of one decoded sound frame."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    array = array.T if frame.format.is_planar else array.reshape(-1, channels)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)
