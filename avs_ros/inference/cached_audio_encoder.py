"""An audio network for a stream: each window is heard once, at a period of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avs_ros.errors import AudioFormatError
from avs_ros.gate import GateConfig
from avs_ros.inference.recent_sound import RecentSound
from avs_ros.segmentation import Float
from avs_ros.sound import SAMPLE_RATE, check_scale, level_dbfs


class CachedAudioEncoder:
    """Sound float32 ``[N]`` -> (feature ``[1, A]``, AudioSet logits ``[1, 527]``), NumPy; of a
    network that hears further back also the AudioSet logits of all of it.

    ``network``: sounds ``[1, N]`` -> these, usually a runner of ``audio_program``, which says how
    many samples it wants.  The last few distinct sounds are remembered: silence, replays and
    several frames of one stamp cost nothing.
    """

    def __init__(self, network: Callable[[Any], Sequence[Any]], remembered: int = 8) -> None:
        self._network = network
        self._known: OrderedDict[bytes, tuple[Float, ...]] = OrderedDict()
        self._remembered = remembered
        self._last: tuple[int, tuple[Float, ...]] | None = None
        # How often the network ran since the start.
        self.runs = 0

    def reset(self) -> None:
        """Forget when the network ran last."""
        self._last = None

    def at(
        self, stamp_ns: int, sound: Float, period_s: float
    ) -> tuple[tuple[Float, ...], bool]:
        """What is heard at ``stamp_ns``, and whether it is news.

        Until ``period_s`` have passed since the network ran, its last answer stands.
        """
        if self._last is not None and 0 <= stamp_ns - self._last[0] < round(period_s * 1e9):
            return self._last[1], False
        self._last = (stamp_ns, self(sound))
        return self._last[1], True

    def __call__(self, sound: Float) -> tuple[Float, ...]:
        """See the class."""
        sound = np.ascontiguousarray(sound, np.float32)
        key = sound.tobytes()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        # Engines reuse their arrays.
        heard = tuple(np.array(part, np.float32) for part in self._network(sound[None]))
        self.runs += 1
        self._known[key] = heard
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return heard


def check_window(window: Float) -> None:
    """Raise AudioFormatError for another type or length, NaN, infinity, or integers' scale."""
    if not isinstance(window, np.ndarray) or window.dtype.kind != "f":
        got = str(getattr(window, "dtype", type(window).__name__))
        raise AudioFormatError(
            f"the window must be a float array in -1..1, got {got}; divide int16 by 32768"
        )
    finite = window.shape != (SAMPLE_RATE,) or np.isfinite(window).all()
    if window.shape != (SAMPLE_RATE,) or not finite:
        got = str(list(window.shape)) if finite else "NaN or infinite values"
        raise AudioFormatError(f"the window must be {SAMPLE_RATE} finite samples (1 s), got {got}")
    check_scale(window)


class SoundContext:
    """Mean of the AudioSet logits of the windows that belong to the sound heard now.

    A window itself spans a second or more, so windows of the last ``reach_s`` make a context
    that is longer than that.  It is forgotten when the level falls below ``silence_dbfs`` and when
    the window by itself names another category with a clear margin: a new sound is not judged by
    the old one.  ``reach_s`` and ``silence_dbfs`` may be set at any time.
    """

    def __init__(
        self, reach_s: float = 2.0, margin: float = 2.0, silence_dbfs: float = -60.0
    ) -> None:
        self.reach_s = reach_s
        self.silence_dbfs = silence_dbfs
        self._margin = margin
        self._past: deque[tuple[int, Float]] = deque()

    def reset(self) -> None:
        """Forget everything heard."""
        self._past.clear()

    def hear(
        self, stamp_ns: int, logits: Float, level_dbfs: float, categories: Callable[[Float], Float]
    ) -> tuple[Float, Float]:
        """Category evidence ``[K]`` to judge by, and the AudioSet logits ``[527]`` it rests on.

        ``categories``: AudioSet logits -> category evidence.
        """
        now = categories(logits)
        if level_dbfs < self.silence_dbfs:
            self._past.clear()
            return now, logits
        past = self._mean(stamp_ns)
        if past is not None:
            before = categories(past)
            if _contradicts(now, before, self._margin):
                self._past.clear()
        self._past.append((stamp_ns, logits))
        mean = self._mean(stamp_ns)
        if mean is None or len(self._past) == 1:
            return now, logits
        context = categories(mean)
        # A sound that fades must be able to end before the context has forgotten it.
        return np.asarray(np.minimum(0.5 * (now + context), now.max() + 0.5)), mean

    def _mean(self, stamp_ns: int) -> Float | None:
        reach_ns = int(self.reach_s * 1e9)
        while self._past and self._past[0][0] < stamp_ns - reach_ns:
            self._past.popleft()
        if not self._past:
            return None
        return np.asarray(np.mean([logits for _, logits in self._past], axis=0))


def _contradicts(now: Float, before: Float, margin: float) -> bool:
    best, old = int(now.argmax()), int(before.argmax())
    return best != old and now[best] > 0 and float(now[best] - now[old]) > margin


@dataclass(frozen=True)
class Heard:
    """What is heard at a frame.

    ``feature`` ``[1, A]``; ``evidence`` ``[K]``, logits of each category; ``context_logits``
    ``[527]``, the AudioSet logits that the evidence rests on; ``logits`` ``[527]``: those of the
    last second alone; ``name_logits`` ``[527]``: what the sound is called by, which is what all
    audio networks say of it.
    """

    feature: Float
    evidence: Float
    context_logits: Float
    logits: Float
    name_logits: Float


class StreamHearing:
    """What one stream hears: the audio network at its own period, its scores over a context.

    ``evidence_of``: AudioSet logits ``[527]`` and the network's feature -> evidence ``[K]``;
    ``seconds``: how much of the sound the audio network takes.
    """

    def __init__(
        self,
        audio_encoder: CachedAudioEncoder,
        evidence_of: Callable[[Float, Float], Float],
        seconds: int = 1,
    ) -> None:
        self._audio_encoder = audio_encoder
        self._evidence_of = evidence_of
        self._seconds = seconds
        self._recent = RecentSound(seconds)
        self._context = SoundContext()
        self._heard: Heard | None = None

    def reset(self) -> None:
        """Forget everything heard."""
        self._audio_encoder.reset()
        self._recent.reset()
        self._context.reset()
        self._heard = None

    def __call__(self, stamp_ns: int, window: Float, gate: GateConfig) -> Heard:
        """The window that ends at ``stamp_ns``, by a gate whose options are all settled."""
        assert gate.context is not None and gate.audio_period is not None
        level = level_dbfs(window)
        if level < gate.silence_dbfs:
            self._recent.reset()
        self._recent.reach_s = gate.context
        sound = self._recent(stamp_ns, window)
        (feature, logits, *longer), news = self._audio_encoder.at(
            stamp_ns, sound, gate.audio_period
        )
        if not news and self._heard is not None:
            return self._heard
        self._context.reach_s = max(0.0, gate.context - self._seconds)
        self._context.silence_dbfs = gate.silence_dbfs
        evidence, context_logits = self._context.hear(
            stamp_ns, (longer[0] if longer else logits)[0], level,
            lambda scores: self._evidence_of(scores, feature),
        )
        named = 0.5 * (logits[0] + context_logits) if longer else context_logits
        self._heard = Heard(feature, evidence, context_logits, logits[0], np.asarray(named))
        return self._heard
