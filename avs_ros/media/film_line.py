"""One line of time for a film whose stamps leap."""

from __future__ import annotations

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
