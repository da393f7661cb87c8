"""What a recording or a live device gives: frames and sound, on one clock.

The promise of every source: **a frame is handed out only after all sound up to its stamp has
been** (or the sound has ended), so that the window which ends at the frame is complete and a
run over a file gives the same answer each time, however the file is interleaved.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from avs_ros.conversions.camera import CameraModel
from avs_ros.conversions.messages import Message
from avs_ros.errors import ParameterError
from avs_ros.media.leaps import BACK_NS, FilmLine
from avs_ros.streaming.findings import Findings
from avs_ros.streaming.inputs import Event
from avs_ros.streaming.inputs import Frame as Frame
from avs_ros.streaming.inputs import Sound as Sound


@dataclass
class SourceInfo:
    """What is known before the first event.

    ``fps``, ``frames`` and ``duration_s`` are the container's own words: estimates, or 0 where
    it says nothing.  ``details`` are lines for the report ("codec" -> "h264").  ``pixel_aspect``:
    width of a pixel over its height (DV and DVD have other than 1).
    """

    name: str
    kind: str
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    audio_rate_hz: int
    audio_channels: int
    details: dict[str, str] = field(default_factory=dict)
    pixel_aspect: Fraction = Fraction(1)


class Source(ABC):
    """A video file, a bag, or a live camera with a microphone.

    ``doubts``: what is known to be doubtful before the first event, a message each.
    ``camera_info``: a calibration beside the images, as the source's own message, and ``camera``
    read from it; None where there is none of use.
    """

    info: SourceInfo
    camera_info: Message | None = None
    camera: CameraModel | None = None

    def __init__(self, *counters: str) -> None:
        """``counters``: what is counted, from 0 on."""
        self.counters: dict[str, int] = dict.fromkeys(counters, 0)
        self.doubts: list[str] = []

    @abstractmethod
    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound in time order, under the promise above; can be walked once."""

    def tell(self, findings: Findings) -> None:  # noqa: B027
        """Add what this source knows at the end."""

    @abstractmethod
    def close(self) -> None:
        """Release files and devices."""


def pick_channel(events: Iterator[Frame | Sound], channel: int | None) -> Iterator[Frame | Sound]:
    """``events`` with channel ``channel`` (from 1) of their sound alone; None: with all.

    Raises :class:`ParameterError` for a channel that the sound does not have.
    """
    for event in events:
        if channel is not None and isinstance(event, Sound):
            channels = event.samples.reshape(len(event.samples), -1)
            if not 1 <= channel <= channels.shape[1]:
                raise ParameterError(
                    f"--channel is {channel}; the sound has {channels.shape[1]}, counted from 1"
                )
            event = replace(event, samples=channels[:, channel - 1])
        yield event


Timed = TypeVar("Timed", Frame, Sound)
# The other stream's jump comes within so much time of recording, or not at all.
TOGETHER_NS = 2_000_000_000


def merge(
    frames: Iterator[tuple[Frame, int]], sounds: Iterator[tuple[Sound, int]]
) -> Iterator[Frame | Sound]:
    """Hand out each frame once the sound has reached its stamp, or has ended.

    Frames and sounds come with the time (ns) at which they were recorded, by one clock for both.
    Where stamps jump back, the sound before the jump belongs to the frames before it, and the
    sound after it to those after it, whichever of the two jumps first; if only one of them jumps,
    the other one goes on.
    """
    # How often each stream has jumped back; the end of the sound since its last jump.
    frame_laps = sound_laps = 0
    reached_ns: int | None = None
    last_ns: int | None = None
    jump_recorded_ns = sound_recorded_ns = 0
    # The first sound after a jump that the frames have not made yet.
    held: Sound | None = None
    for frame, recorded_ns in frames:
        if last_ns is not None and frame.stamp_ns < last_ns - BACK_NS:
            frame_laps += 1
            jump_recorded_ns = recorded_ns
        last_ns = frame.stamp_ns
        if held is not None and recorded_ns > sound_recorded_ns + TOGETHER_NS:
            frame_laps = max(frame_laps, sound_laps)
        while True:
            if frame_laps > sound_laps and sound_recorded_ns > jump_recorded_ns + TOGETHER_NS:
                sound_laps = frame_laps
            if frame_laps < sound_laps:
                break
            if held is not None:
                sound, held = held, None
                reached_ns = sound.end_ns
                yield sound
                continue
            if frame_laps == sound_laps and reached_ns is not None and (
                reached_ns >= frame.stamp_ns
            ):
                break
            if (following := next(sounds, None)) is None:
                break
            sound, sound_recorded_ns = following
            if reached_ns is not None and sound.end_ns < reached_ns - BACK_NS:
                sound_laps += 1
                if sound_laps > frame_laps:
                    held = sound
                    break
                reached_ns = sound.end_ns
            reached_ns = max(reached_ns or sound.end_ns, sound.end_ns)
            yield sound
        yield frame
    if held is not None:
        yield held
    yield from (sound for sound, _ in sounds)


def in_stamp_order(events: Iterator[tuple[Timed, int]]) -> Iterator[tuple[Timed, int]]:
    """Events of one stream that were recorded in another order than they were stamped.

    Within the half second from which on stamps that go back begin the stream anew.
    """
    waiting: list[tuple[int, int, Timed, int]] = []
    newest_ns = 0
    for number, (event, recorded_ns) in enumerate(events):
        if waiting and event.stamp_ns < newest_ns - BACK_NS:
            yield from ((first, at_ns) for _, _, first, at_ns in sorted(waiting))
            waiting = []
        newest_ns = event.stamp_ns if not waiting else max(newest_ns, event.stamp_ns)
        heapq.heappush(waiting, (event.stamp_ns, number, event, recorded_ns))
        while waiting[0][0] <= newest_ns - BACK_NS:
            _, _, first, at_ns = heapq.heappop(waiting)
            yield first, at_ns
    yield from ((first, at_ns) for _, _, first, at_ns in sorted(waiting))


class FrameSelection:
    """The frames that were asked for, with all sound up to the last of them.

    ``zero_ns``: stamp of the source's first frame, from which times count (None before it came).
    """

    def __init__(self, fps: float | None, start_s: float, duration_s: float | None) -> None:
        """Of a source faster than ``fps``, the first frame of each 1 / ``fps`` seconds stays."""
        self.zero_ns: int | None = None
        self._fps, self._start_s, self._duration_s = fps, start_s, duration_s

    def of(self, events: Iterator[Event]) -> Iterator[Event]:
        """Those of ``events`` that were asked for."""
        tick = 0
        # Where stamps jump back (a recording played in a loop), the time that was asked for goes
        # on from where it was.
        line = FilmLine(ahead_ns=None)
        for event in events:
            if isinstance(event, Sound):
                yield event
                continue
            placed_ns = line.place("image", event.stamp_ns, event.stamp_ns)
            if self.zero_ns is None:
                self.zero_ns = placed_ns
            since_s = (placed_ns - self.zero_ns) * 1e-9 - self._start_s
            if self._duration_s is not None and since_s >= self._duration_s:
                return
            if since_s < 0:
                continue
            if self._fps is not None:
                # A little early is on time: stamps are rounded, cameras jitter.
                steps = math.floor(since_s * self._fps + 0.05)
                if steps < tick:
                    continue
                tick = steps + 1
            yield event
