"""What a recording or a live device gives: frames and sound, on one clock.

The promise of every source: **a frame is handed out only after all sound up to its stamp has
been** (or the sound has ended), so that the window which ends at the frame is complete and a
run over a file gives the same answer each time, however the file is interleaved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from avs_ros.streaming.inputs import Frame as Frame
from avs_ros.streaming.inputs import Sound as Sound


@dataclass
class SourceInfo:
    """What is known before the first event.

    ``fps``, ``frames`` and ``duration_s`` are the container's own words: estimates, or 0 where
    it says nothing.  ``details`` are lines for the report ("codec" -> "h264").
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


class Source(Protocol):
    """A video file, a bag, or a live camera with a microphone."""

    info: SourceInfo
    counters: dict[str, int]

    def events(self) -> Iterator[Frame | Sound]:
        """Frames and sound in time order, under the promise above; can be walked once."""
        ...

    def close(self) -> None:
        """Release files and devices."""
        ...


def merge(
    frames: Iterator[Frame], sounds: Iterator[Sound]
) -> Iterator[Frame | Sound]:
    """Hand out each frame once the sound has reached its stamp, or has ended."""
    heard_ns: int | None = None
    ended = False
    for frame in frames:
        while not ended and (heard_ns is None or heard_ns < frame.stamp_ns):
            sound = next(sounds, None)
            if sound is None:
                ended = True
            else:
                heard_ns = sound.end_ns if heard_ns is None else max(heard_ns, sound.end_ns)
                yield sound
        yield frame
    yield from sounds
