"""Answers and truths that arrive as separate messages -> scored frames, paired by stamp."""

from __future__ import annotations

from typing import Any

from avs_ros.evaluation.frame_scores import ScoredFrame
from avs_ros.evaluation.score_sheet import ScoreSheet

SECOND_NS = 1_000_000_000
_TRUTH = {"truth", "true_boxes", "true_labels"}

# What has come for one stamp so far: fields of a ScoredFrame.
_Parts = dict[str, Any]


class StampPairing:
    """Pairs by exact stamp; scores a frame once everything about it has had ``wait_s`` to come.

    A truth without an answer by then is a missed frame.  A truth whose stamp falls back by more
    than ``wait_s`` begins a new recording (bag loop); answers to the old one may still come.
    """

    def __init__(self, sheet: ScoreSheet, wait_s: float) -> None:
        """``sheet`` collects the frames."""
        self.sheet = sheet
        self._wait_ns = int(wait_s * SECOND_NS)
        self._parts: dict[int, _Parts] = {}
        self._before: dict[int, _Parts] | None = None
        self._newest: int | None = None
        self._masked = False
        self.latencies_ms: list[float] = []
        sheet.begin()

    def put(self, stamp_ns: int, **parts: Any) -> None:
        """Add something of the frame ``stamp_ns``: fields of :class:`ScoredFrame`."""
        self._masked = self._masked or "truth" in parts
        # Beside masks, boxes only carry names.
        truth = "truth" in parts or ("true_boxes" in parts and not self._masked)
        if truth:
            self._advance(stamp_ns)
        held = self._before.get(stamp_ns) if self._before and not truth else None
        # A loop repeats its stamps: what the old recording has already belongs to the new one.
        if held is None or held.keys() & parts.keys():
            held = self._parts.setdefault(stamp_ns, {})
        held.update(parts)

    def flush(self) -> None:
        """Nothing more comes: score everything that is held."""
        self._close_recording()
        for stamp_ns in sorted(self._parts):
            self._score(stamp_ns, self._parts.pop(stamp_ns))

    def _advance(self, stamp_ns: int) -> None:
        if self._newest is not None and stamp_ns < self._newest - self._wait_ns:
            self._close_recording()
            # An answer may overtake the first truth of its recording: it comes along.
            limit = stamp_ns + self._wait_ns
            early = {
                s: p for s, p in self._parts.items()
                if s <= limit and not p.keys() & {"truth", "true_boxes"}
            }  # fmt: skip
            self._before = {s: p for s, p in self._parts.items() if s not in early}
            self._parts, self._newest = early, None
        self._newest = max(self._newest or stamp_ns, stamp_ns)
        for old in sorted(s for s in self._parts if s < self._newest - self._wait_ns):
            self._close_recording()
            self._score(old, self._parts.pop(old))

    def _close_recording(self) -> None:
        """Score what is left of the recording before this one."""
        if self._before is None:
            return
        for stamp_ns in sorted(self._before):
            self._score(stamp_ns, self._before[stamp_ns])
        self._before = None
        self.sheet.begin()

    def _score(self, stamp_ns: int, held: _Parts) -> None:
        if "truth" not in held and ("true_boxes" not in held or self._masked):
            return
        if "mask" not in held:
            # What came without its mask is no answer.
            held = {name: part for name, part in held.items() if name in _TRUTH}
        elif "latency_ms" in held:
            self.latencies_ms.append(held["latency_ms"])
        self.sheet.add(ScoredFrame(stamp_ns, **{"mask": None, "truth": None, **held}))
