"""Time that leaps: files that were joined, and stamps that begin anew, on one line of time.

``cat a.ts b.ts``, several titles of a DVD, a stream that was recorded again into the same file:
the second part's times begin at its own zero.  Every part is moved as a whole, image and sound
by the same amount, so that it follows the part before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# A packet this much before the one before it, in the order of decoding, starts a new part.
BACK_S = 1.0
# The same for a leap ahead, in formats whose times may leap (MPEG-TS and its like).
AHEAD_S = 10.0
# Streams of one part begin this close to each other.
TOGETHER_S = 10.0


def packet_time(packet: Any) -> float | None:
    """Decoding time of a packet in seconds, else its presentation time; None without either."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return None if ticks is None or packet.time_base is None else float(ticks * packet.time_base)


def breaks(last: float | None, time: float, may_leap: bool) -> bool:
    """Whether a packet at ``time`` after one at ``last`` (s) belongs to another part."""
    if last is None:
        return False
    return time < last - BACK_S or (may_leap and time > last + AHEAD_S)


@dataclass
class _Part:
    """Raw times (s) between which the streams of one part lie."""

    begin: float
    end: float
    ahead: bool = False
    # stream -> number of its packet with which the part begins
    first: dict[int, int] = field(default_factory=dict)


def find_moves(packets: Iterator[Any], may_leap: bool) -> dict[int, list[tuple[int, float]]]:
    """Stream -> (number of its packet, seconds to add from that packet on), rising.

    ``packets``: all packets of image and sound in the order in which they lie in the file.
    """
    parts = [_Part(0.0, 0.0)]
    current: dict[int, int] = {}
    last: dict[int, float] = {}
    count: dict[int, int] = {}
    fresh = True
    for packet in packets:
        stream = packet.stream.index
        number = count.get(stream, 0)
        count[stream] = number + 1
        time = packet_time(packet)
        if time is None:
            continue
        end = time + float((packet.duration or 0) * packet.time_base)
        if breaks(last.get(stream), time, may_leap):
            mine = current[stream]
            following = parts[mine + 1] if mine + 1 < len(parts) else None
            if following is None or not (
                following.begin - TOGETHER_S < time < following.end + TOGETHER_S
            ):
                parts.append(_Part(time, end, time > last[stream]))
                mine = len(parts) - 2
            current[stream] = mine + 1
            parts[mine + 1].first[stream] = number
        part = parts[current.setdefault(stream, 0)]
        last[stream] = time
        if fresh:
            part.begin, part.end, fresh = time, end, False
        part.begin, part.end = min(part.begin, time), max(part.end, end)
    moves: dict[int, list[tuple[int, float]]] = {}
    end, shift = parts[0].end, 0.0
    for part in parts[1:]:
        # One stream alone that leaps ahead has a gap: its time goes on.
        if not part.ahead or len(part.first) == len(count):
            shift = end - part.begin
        end = max(end, part.end + shift)
        for stream, number in part.first.items():
            moves.setdefault(stream, []).append((number, shift))
    return moves


# Stamps that leap further back or ahead than this belong to another part: time just goes on.
BACK_NS, AHEAD_NS = 500_000_000, 60_000_000_000


class FilmLine:
    """Stamps that may leap -> one line of time for image and sound.

    Where a stream's stamps leap it begins a new part, which is moved so that it follows what was
    placed before; the other stream's leap to about the same stamps is moved by the same amount.
    """

    def __init__(self, ahead_ns: int | None = AHEAD_NS) -> None:
        """``ahead_ns``: what is further ahead than this is a leap (None: nothing is)."""
        self._ahead_ns = ahead_ns
        self._shift_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}
        self._end_ns: int | None = None
        self._part: tuple[int, int] = (0, 0)

    def place(self, stream: str, stamp_ns: int, end_ns: int) -> int:
        """The film's time (ns) of what ``stream`` has from ``stamp_ns`` to ``end_ns``."""
        last = self._last_ns.get(stream)
        if last is not None and self._end_ns is not None:
            ahead_ns = stamp_ns + self._shift_ns[stream] - self._end_ns
            if stamp_ns < last - BACK_NS or (
                self._ahead_ns is not None and ahead_ns > self._ahead_ns
            ):
                begin, shift = self._part
                if not abs(stamp_ns - begin) < AHEAD_NS or shift == self._shift_ns[stream]:
                    begin, shift = stamp_ns, self._end_ns - stamp_ns
                self._part = begin, shift
                self._shift_ns[stream] = shift
        elif last is None:
            self._shift_ns[stream] = self._part[1]
        self._last_ns[stream] = stamp_ns
        placed = stamp_ns + self._shift_ns[stream]
        self._end_ns = max(self._end_ns or placed, end_ns + self._shift_ns[stream])
        return placed
