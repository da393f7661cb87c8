"""Packets of a film -> decoded frames: what is damaged is left out, joined parts are moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from avs_ros.errors import optional
from avs_ros.media.leaps import breaks, find_moves, packet_time

# So many packets one after the other that cannot be decoded: the rest will not be better.
HOPELESS = 5000
# FFmpeg's AVFMT_TS_DISCONT: MPEG-TS, MPEG-PS, Ogg.
TIMES_MAY_LEAP = 0x0200


def import_av() -> Any:
    """PyAV, or the message that says how to get it."""
    av = optional("av", "Reading and writing video files")
    av.logging.set_level(av.logging.PANIC)
    return av


def local_url(path: Path) -> str:
    """``path`` as FFmpeg takes it: what stands before a colon in a name is no protocol."""
    return f"file:{path}"


class Decoding:
    """Walks through the packets of a file's streams, each in a container of its own.

    ``indices``: the streams of image and sound, to be set before the walk; ``packets``: read so
    far.  Counts ``broken_packets``, ``empty_packets`` and ``joined_parts``.
    """

    def __init__(self, open_again: Callable[[], Any], counters: dict[str, int]) -> None:
        """``open_again`` opens the file once more; ``counters`` are counted up."""
        self.indices: tuple[int, ...] = ()
        self.packets = 0
        self.counters = counters
        self._av = import_av()
        self._open = open_again
        self._moves: dict[int, list[tuple[int, float]]] | None = None

    def _packets(self, container: Any, streams: Any) -> Iterator[Any]:
        """Packets in the file's order; where the container is damaged, those after the damage."""
        failures = 0
        packets = container.demux(streams)
        while True:
            try:
                packet = next(packets, None)
            except self._av.EOFError:
                return
            except self._av.FFmpegError:
                self.counters["broken_packets"] += 1
                failures += 1
                if failures > HOPELESS:
                    return
                packets = container.demux(streams)
                continue
            if packet is None:
                return
            failures = 0
            yield packet

    def frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """Decoded frames of a stream; a packet that is broken is left out."""
        decoder = stream.codec_context
        may_leap = bool(int(container.format.flags) & TIMES_MAY_LEAP)
        last: float | None = None
        in_a_row = 0

        def timed(frame: Any) -> Any:
            if frame.time_base is None:  # a frame that the decoder had kept back
                frame.time_base = stream.time_base
            return frame

        for number, packet in enumerate(self._packets(container, stream)):
            time = packet_time(packet)
            if time is not None:
                if self._moves is None and breaks(last, time, may_leap):
                    self._moves = self._find_moves(may_leap)
                last = time
            if not packet.size:
                # An image repeated, or the demuxer's end: a decoder takes either for the end.
                self.counters["empty_packets"] += time is not None
                continue
            self._move(packet, number)
            self.packets += 1
            try:
                frames = decoder.decode(packet)
            except self._av.FFmpegError:
                self.counters["broken_packets"] += 1
                in_a_row += 1
                if in_a_row > HOPELESS:
                    return
                continue
            in_a_row = 0
            yield from map(timed, frames)
        with suppress(self._av.FFmpegError):
            yield from map(timed, decoder.decode(None))

    def _find_moves(self, may_leap: bool) -> dict[int, list[tuple[int, float]]]:
        """Once, when a stream's time leaps: one walk through the packets of the whole file."""
        with self._open() as container:
            streams = [container.streams[index] for index in self.indices]
            moves = find_moves(self._packets(container, streams), may_leap)
        self.counters["joined_parts"] = max((len(found) for found in moves.values()), default=0)
        return moves

    def _move(self, packet: Any, number: int) -> None:
        """Put a packet of a later part where the part before it ended."""
        moves = (self._moves or {}).get(packet.stream.index, [])
        shift_s = next((shift for first, shift in reversed(moves) if number >= first), 0.0)
        if shift_s:
            ticks = round(shift_s / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
