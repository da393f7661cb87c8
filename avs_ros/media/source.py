"""What a recording or a live device gives: frames and sound, on one clock.

The promise of every source: **a frame is handed out only after all sound up to its stamp has
been** (or the sound has ended), so that the window which ends at the frame is complete and a
run over a file gives the same answer each time, however the file is interleaved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from numpy.typing import NDArray

from avs_ros.segmentation import Bytes


@dataclass(frozen=True)
class Frame:
    """One picture: ``stamp_ns`` (ns), ``decode()`` -> uint8 ``[H, W, 3]`` RGB, computed on call.

    ``index`` counts the source's pictures from 0; ``frame_id`` is the header's, "" for files.
    """

    stamp_ns: int
    index: int
    decode: Callable[[], Bytes]
    frame_id: str = ""


@dataclass(frozen=True)
class Sound:
    """A run of samples: ``stamp_ns`` is the time of the first one.

    ``samples``: int16, int32, uint8 or float32 (-1..1), ``[n]`` or ``[n, channels]``.
    """

    stamp_ns: int
    samples: NDArray[Any]
    rate_hz: int

    @property
    def end_ns(self) -> int:
        """Time just after the last sample."""
        return self.stamp_ns + round(len(self.samples) * 1e9 / self.rate_hz)


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
