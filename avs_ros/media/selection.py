"""Some of a recording's frames, and all of its sound."""

from __future__ import annotations

import math
from collections.abc import Iterator

from avs_ros.media.source import JUMP_BACK_NS
from avs_ros.streaming.inputs import Event, Sound


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
        begin_ns, last_ns, before_ns = 0, 0, 0
        for event in events:
            if isinstance(event, Sound):
                yield event
                continue
            if self.zero_ns is None:
                self.zero_ns = begin_ns = event.stamp_ns
            elif event.stamp_ns < last_ns - JUMP_BACK_NS:
                before_ns += last_ns - begin_ns
                begin_ns = event.stamp_ns
            last_ns = event.stamp_ns
            since_s = (event.stamp_ns - begin_ns + before_ns) * 1e-9 - self._start_s
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
