"""A recording in real time: what is due when, without ROS.

A frame is due at its stamp.  A chunk of sound is due at its *end*, as a microphone hands it out
when it is full.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from avs_ros.conversions.messages import NANOSECONDS
from avs_ros.errors import ParameterError
from avs_ros.media.leaps import FilmLine
from avs_ros.media.source import Frame, Sound

# Sources hand out sound up to a packet ahead of the frames; put back in order within this.
_LOOK_AHEAD_NS = NANOSECONDS // 4
_LONGEST_WAIT_S = 0.1


def rechunked(events: Iterator[Frame | Sound], seconds: float) -> Iterator[Frame | Sound]:
    """``events`` with their sound in chunks of ``seconds``, without losing a sample.

    Before a gap, another format or the end a chunk may be shorter.
    """
    kept: Sound | None = None
    for event in events:
        if isinstance(event, Frame):
            yield event
            continue
        sound = event
        if kept is not None:
            # A gap of more than a few samples: the new piece keeps its own time.
            together = abs(sound.stamp_ns - kept.end_ns) <= NANOSECONDS // 500
            if together and _kind(kept) == _kind(sound):
                samples = np.concatenate([kept.samples, sound.samples])
                sound = Sound(kept.stamp_ns, samples, kept.rate_hz)
            else:
                yield kept
        length = max(1, round(seconds * sound.rate_hz))
        full = len(sound.samples) // length * length
        for start in range(0, full, length):
            yield _part(sound, start, start + length)
        rest = _part(sound, full, len(sound.samples))
        kept = rest if len(rest.samples) else None
    if kept is not None:
        yield kept


def _kind(sound: Sound) -> tuple[Any, ...]:
    return sound.rate_hz, sound.samples.dtype, sound.samples.shape[1:]


def _part(sound: Sound, start: int, end: int) -> Sound:
    stamp_ns = sound.stamp_ns + start * NANOSECONDS // sound.rate_hz
    return Sound(stamp_ns, sound.samples[start:end], sound.rate_hz)


def in_order(
    events: Iterator[Frame | Sound], chunk_s: float
) -> Iterator[tuple[int, Frame | Sound]]:
    """Frames and sound, rechunked to ``chunk_s``, each with the time (ns) at which it is due.

    Where stamps leap (a recording of a loop), what follows is due right after what was before.
    """
    line = FilmLine()
    waiting: list[tuple[int, int, Frame | Sound]] = []
    newest_ns = 0
    for number, piece in enumerate(rechunked(events, chunk_s)):
        if isinstance(piece, Sound):
            due_ns = line.place("sound", piece.stamp_ns, piece.end_ns)
            due_ns += piece.end_ns - piece.stamp_ns
        else:
            due_ns = line.place("image", piece.stamp_ns, piece.stamp_ns)
        heapq.heappush(waiting, (due_ns, number, piece))
        newest_ns = max(newest_ns, due_ns)
        while newest_ns - waiting[0][0] > _LOOK_AHEAD_NS:
            due_ns, _, first = heapq.heappop(waiting)
            yield due_ns, first
    yield from ((due_ns, event) for due_ns, _, event in sorted(waiting))


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
        self.stopped = False  # whether stop was called

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
            self.stopped = True
            self._condition.notify_all()

    def wait_until(self, due_ns: int) -> bool:
        """Wait for the recording's time ``due_ns``; False when stopped first."""
        with self._condition:
            while not self.stopped:
                left_ns = due_ns - self._advance()
                if left_ns <= 0 and not self._paused:
                    return True
                # Bounded, since a test's clock does not wake the condition by itself.
                left_s = _LONGEST_WAIT_S if self._paused else left_ns / self._rate * 1e-9
                self._condition.wait(min(left_s, _LONGEST_WAIT_S))
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
