"""Small stand-ins that tests of the plumbing use where a real network would only cost time."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from avs_ros.segmentation import Bytes, Float, Prediction

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000  # of the tests' streams


def image() -> Bytes:
    """Something bright in the dark."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[10:30, 20:50] = 255
    return frame


def buzz(ms: int = 1000) -> NDArray[np.int16]:
    """Loud sound, mono at 16 kHz."""
    return (8000 * np.sin(np.arange(ms * 16) * 0.3)).astype(np.int16)


class BrightnessSegmenter:
    """Marks bright pixels while the window is louder than -40 dBFS: obvious, and not learned."""

    name = "brightness"
    engine = "numpy"
    device = "cpu"
    sample_rate = 16000
    window_s = 1.0
    labels = ("lamp",)

    def __init__(self) -> None:
        """Start with an empty list of the stamps served."""
        self.stamps: list[int] = []
        self.resets = 0
        self.closed = False

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """Probability 1 where the frame's mean over channels is above 127."""
        self.stamps.append(stamp_ns)
        loud = float(np.sqrt(np.mean(window**2))) > 0.01
        bright = (frame.mean(axis=2) > 127).astype(np.float32)
        probability = bright if loud else np.zeros_like(bright)
        return Prediction(
            probability, 1.0 if loud else 0.0, "lamp" if loud else "", 0 if loud else -1,
            "Buzz" if loud else "Silence", 1.0, ms={"model": 0.1},
        )

    def reset(self) -> None:
        """Count the call."""
        self.resets += 1

    def close(self) -> None:
        """Remember the call."""
        self.closed = True


class BlockedSegmenter(BrightnessSegmenter):
    """While ``blocking``, stays in its step until it is let ``go``; must not be closed there."""

    def __init__(self) -> None:
        """Start without blocking."""
        super().__init__()
        self.blocking = False
        self.entered, self.go = threading.Event(), threading.Event()

    def step(self, frame: Bytes, window: Float, stamp_ns: int) -> Prediction:
        """Answer late."""
        if self.blocking:
            self.entered.set()
            assert self.go.wait(30)
            assert not self.closed
        return super().step(frame, window, stamp_ns)


class ManualClock:
    """A steady clock that stands still until :meth:`advance`; nothing has to sleep."""

    def __init__(self, now_s: float = 1000.0) -> None:
        """Start at ``now_s`` seconds."""
        self._now_ns = round(now_s * 1e9)
        self._changed = threading.Condition()
        self._timed: set[threading.Condition] = set()
        self.waits = 0

    def now_ns(self) -> int:
        """The time that was set last (ns)."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once and wake everyone who waits with a timeout."""
        with self._changed:
            self._now_ns += round(seconds * 1e9)
            timed = list(self._timed)
        for condition in timed:
            with condition:
                condition.notify_all()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait until notified; the timeout passes only by :meth:`advance`."""
        with self._changed:
            self.waits += 1
            if timeout_s is None:
                self._timed.discard(condition)
            else:
                self._timed.add(condition)
            self._changed.notify_all()
        condition.wait(30.0)

    def wait_until_idle(self, waits: int) -> None:
        """Return once someone has gone to wait for the ``waits``-th time or more."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.waits >= waits, 30.0):
                raise TimeoutError(f"{self.waits} waits, expected {waits}")
