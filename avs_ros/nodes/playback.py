"""A recording in real time: what is due when, without ROS.

A frame is due at its stamp.  A chunk of sound is due at its *end*, as a microphone hands it out
when it is full.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.errors import ParameterError
from avs_ros.media.leaps import FilmLine
from avs_ros.media.source import Frame, Sound

_NANOSECONDS = 1_000_000_000
# Sources hand out sound up to a packet ahead of the frames; put back in order within this.
_LOOK_AHEAD_NS = _NANOSECONDS // 4
_LONGEST_WAIT_S = 0.1


@dataclass(frozen=True)
class Due:
    """An event of the recording and the recording's time at which it happens, in nanoseconds."""

    due_ns: int
    event: Frame | Sound


class Rechunker:
    """Sound in pieces of any length -> chunks of ``seconds``, without losing a sample."""

    def __init__(self, seconds: float) -> None:
        """Make chunks of ``seconds`` (the last one before a gap or the end may be shorter)."""
        self._seconds = seconds
        self._kept: Sound | None = None

    def push(self, sound: Sound) -> list[Sound]:
        """Take ``sound`` and hand out the chunks that are full now."""
        chunks: list[Sound] = []
        if (kept := self._kept) is not None:
            # A gap of more than a few samples: the new piece keeps its own time.
            together = abs(sound.stamp_ns - kept.end_ns) <= _NANOSECONDS // 500
            if together and _kind(kept) == _kind(sound):
                samples = np.concatenate([kept.samples, sound.samples])
                sound = Sound(kept.stamp_ns, samples, kept.rate_hz)
            else:
                chunks.append(kept)
        length = max(1, round(self._seconds * sound.rate_hz))
        full = len(sound.samples) // length * length
        chunks += [_part(sound, start, start + length) for start in range(0, full, length)]
        rest = _part(sound, full, len(sound.samples))
        self._kept = rest if len(rest.samples) else None
        return chunks

    def flush(self) -> list[Sound]:
        """The rest, if there is one."""
        rest, self._kept = self._kept, None
        return [] if rest is None else [rest]


def _kind(sound: Sound) -> tuple[Any, ...]:
    return sound.rate_hz, sound.samples.dtype, sound.samples.shape[1:]


def _part(sound: Sound, start: int, end: int) -> Sound:
    stamp_ns = sound.stamp_ns + start * _NANOSECONDS // sound.rate_hz
    return Sound(stamp_ns, sound.samples[start:end], sound.rate_hz)


def in_order(events: Iterator[Frame | Sound], chunk_s: float) -> Iterator[Due]:
    """Frames and sound, rechunked to ``chunk_s``, in the order in which they are due.

    Where stamps leap (a recording of a loop), what follows is due right after what was before.
    """
    rechunker = Rechunker(chunk_s)

    def pieces() -> Iterator[Frame | Sound]:
        for event in events:
            yield from rechunker.push(event) if isinstance(event, Sound) else (event,)
        yield from rechunker.flush()

    line = FilmLine()
    waiting: list[tuple[int, int, Frame | Sound]] = []
    newest_ns = 0
    for number, piece in enumerate(pieces()):
        if isinstance(piece, Sound):
            due_ns = line.place("sound", piece.stamp_ns, piece.end_ns)
            due_ns += piece.end_ns - piece.stamp_ns
        else:
            due_ns = line.place("image", piece.stamp_ns, piece.stamp_ns)
        heapq.heappush(waiting, (due_ns, number, piece))
        newest_ns = max(newest_ns, due_ns)
        while newest_ns - waiting[0][0] > _LOOK_AHEAD_NS:
            due_ns, _, first = heapq.heappop(waiting)
            yield Due(due_ns, first)
    yield from (Due(due_ns, event) for due_ns, _, event in sorted(waiting))


class PlaybackClock:
    """The recording's time: runs at ``rate``, stands while paused; any thread may ask or set."""

    def __init__(
        self, rate: float = 1.0, paused: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Start at 0; ``now_ns`` is the steady clock behind it."""
        self._now_ns = now_ns
        self._condition = threading.Condition()
        self._rate = rate
        self._paused = paused
        self._position_ns = 0.0
        self._since_ns = now_ns()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def now(self) -> int:
        """The recording's time in nanoseconds."""
        with self._condition:
            return int(self._advance())

    def set(self, rate: float | None = None, paused: bool | None = None) -> None:
        """Change speed, or hold and go on."""
        with self._condition:
            self._position_ns = self._advance()
            self._since_ns = self._now_ns()
            self._rate = self._rate if rate is None else rate
            self._paused = self._paused if paused is None else paused
            self._condition.notify_all()

    def seek(self, position_ns: int) -> None:
        """Continue from ``position_ns``."""
        with self._condition:
            self._position_ns, self._since_ns = float(position_ns), self._now_ns()
            self._condition.notify_all()

    def stop(self) -> None:
        """Let every waiting thread go."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def wait_until(self, due_ns: int) -> bool:
        """Wait for the recording's time ``due_ns``; False when stopped first."""
        with self._condition:
            while not self._stopped:
                left_ns = due_ns - self._advance()
                if left_ns <= 0 and not self._paused:
                    return True
                seconds = None if self._paused else left_ns / self._rate * 1e-9
                # Bounded, since a test's clock does not wake the condition by itself.
                self._condition.wait(
                    _LONGEST_WAIT_S if seconds is None else min(seconds, _LONGEST_WAIT_S)
                )
            return False

    def _advance(self) -> float:
        if self._paused:
            return self._position_ns
        return self._position_ns + (self._now_ns() - self._since_ns) * self._rate


def start_stamp_ns(choice: str, now_ns: int, recorded_ns: int) -> int:
    """The stamp of the recording's first moment: ``now``, ``recorded`` or seconds as a number.

    Raises :class:`ParameterError` for anything else.
    """
    if choice == "now":
        return now_ns
    if choice == "recorded":
        return recorded_ns
    try:
        seconds = float(choice)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds < 2**31:
        raise ParameterError(
            f"parameter start_stamp is {choice!r}: expected now, recorded, or seconds above 0"
        )
    return round(seconds * 1e9)
