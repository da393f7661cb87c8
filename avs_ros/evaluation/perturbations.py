"""What can go wrong with a camera and a microphone, as transforms of a recording's events.

Each class is a function ``events -> events`` over :class:`~avs_ros.media.source.Frame` and
:class:`~avs_ros.media.source.Sound`.  The same seed gives the same events each time.  Sound that
is changed becomes mono float32.  Images stay lazy: a frame that nobody decodes costs nothing.
Transforms that move stamps may hand out a frame before its sound; the replay waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import cv2
import numpy as np

from avs_ros.errors import AudioFormatError, ParameterError
from avs_ros.media.source import Frame, Sound
from avs_ros.segmentation import Bytes, Float
from avs_ros.streaming.pcm import to_mono

Event = Frame | Sound
SECOND_NS = 1_000_000_000
# Display gamma of cameras' images, near enough to sRGB's curve.
GAMMA = 2.2


class Perturbation:
    """A transform of a recording's events; this one leaves them as they are."""

    seed = 0
    kind: ClassVar[type[Event]] = Sound

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events, those of :attr:`kind` with something done to them."""
        rng, begin_ns = np.random.default_rng(self.seed), None
        for event in events:
            if isinstance(event, self.kind):
                begin_ns = event.stamp_ns if begin_ns is None else begin_ns
                changed = self.change(event, event.stamp_ns - begin_ns, rng)
                if changed is not None:
                    yield changed
            else:
                yield event

    def change(self, event: Any, since_ns: int, rng: np.random.Generator) -> Event | None:
        """What becomes of an event ``since_ns`` after the first of its kind; None: it is lost."""
        kept: Event = event
        return kept


def gain_to(level_dbfs: float, samples: Float) -> float:
    """The factor that brings the RMS of ``samples`` to ``level_dbfs``; 0 for digital silence."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
    return 10 ** (level_dbfs / 20) / rms if rms > 0 else 0.0


def _heard(sound: Sound, extra: Float, alone: bool = True) -> Sound:
    """The chunk, mono, with ``extra`` ``[n]`` in place of its sound, or on it."""
    whole = extra if alone else to_mono(sound.samples).samples + extra
    return replace(sound, samples=np.clip(whole, -1, 1).astype(np.float32))


class Silence(Perturbation):
    """The microphone delivers, but only zeros."""

    def change(self, event: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """Zeros."""
        return _heard(event, np.zeros(len(event.samples), np.float32))


@dataclass(frozen=True)
class Noise(Perturbation):
    """White noise of ``level_dbfs`` (RMS); ``alone``: instead of the sound, else added to it."""

    level_dbfs: float
    alone: bool = False
    seed: int = 0

    def change(self, event: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """With noise."""
        noise = 10 ** (self.level_dbfs / 20) * rng.standard_normal(len(event.samples))
        return _heard(event, noise.astype(np.float32), self.alone)


@dataclass(frozen=True, eq=False)
class OtherSound(Perturbation):
    """Another recording's sound, from its beginning and over again when it ends.

    ``track``: float32 ``[n]`` mono at ``rate_hz``; ``level_dbfs``: RMS it is brought to.
    ``alone``: it takes the place of the recording's own sound; else both are heard.
    """

    track: Float
    rate_hz: int
    level_dbfs: float
    alone: bool = True

    @cached_property
    def _played(self) -> Float:
        if not self.track.size:
            raise AudioFormatError("the other recording has no sound to play")
        return self.track * np.float32(gain_to(self.level_dbfs, self.track))

    def change(self, event: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """With the part of the track that plays during the chunk, at the chunk's rate."""
        track = self._played
        seconds = since_ns / SECOND_NS + np.arange(len(event.samples)) / event.rate_hz
        at = seconds * self.rate_hz
        if event.rate_hz == self.rate_hz:
            return _heard(event, track[np.round(at).astype(np.int64) % len(track)], self.alone)
        whole = np.floor(at).astype(np.int64)
        part = (at - whole).astype(np.float32)
        first, second = track[whole % len(track)], track[(whole + 1) % len(track)]
        return _heard(event, first * (1 - part) + second * part, self.alone)


@dataclass(frozen=True)
class ShiftedSound(Perturbation):
    """The sound's stamps are wrong by ``seconds``: above 0, it seems to come later."""

    seconds: float

    def change(self, event: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """At another time."""
        return replace(event, stamp_ns=event.stamp_ns + round(self.seconds * SECOND_NS))


@dataclass(frozen=True)
class ClockDrift(Perturbation):
    """The microphone's clock is off by ``ppm`` of the time since the recording's start.

    Above 0, its stamps run fast: later sound is stamped later than it was heard.
    """

    ppm: float

    def change(self, event: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """At another time."""
        return replace(event, stamp_ns=event.stamp_ns + round(since_ns * self.ppm * 1e-6))


@dataclass(frozen=True)
class DroppedChunks(Perturbation):
    """A random ``share`` of the sound's chunks never arrives."""

    share: float
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ParameterError for a share outside 0..1."""
        if not 0 <= self.share <= 1:
            raise ParameterError(f"share is {self.share}; must be from 0 to 1")

    def change(self, event: Event, since_ns: int, rng: np.random.Generator) -> Event | None:
        """All or nothing."""
        return event if rng.random() >= self.share else None


class DroppedFrames(DroppedChunks):
    """A random ``share`` of the images never arrives."""

    kind = Frame


class _Lens(Perturbation):
    """Images look different."""

    kind = Frame

    def change(self, event: Frame, since_ns: int, rng: np.random.Generator) -> Frame:
        return replace(event, decode=lambda: self.apply(event.decode(), event.index))

    def apply(self, rgb: Bytes, index: int) -> Bytes:
        raise NotImplementedError


@dataclass(frozen=True)
class Blur(_Lens):
    """Out of focus: a Gaussian whose sigma is ``share`` of the image's width."""

    share: float

    def apply(self, rgb: Bytes, index: int) -> Bytes:
        """uint8 ``[H, W, 3]``, blurred."""
        sigma = self.share * rgb.shape[1]
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma)) if sigma > 0 else rgb


@dataclass(frozen=True)
class LowLight(_Lens):
    """Light halved ``stops`` times, with the noise of a sensor (``noise``: SD, share of white)."""

    stops: float
    noise: float = 0.02
    seed: int = 0

    def apply(self, rgb: Bytes, index: int) -> Bytes:
        """uint8 ``[H, W, 3]``, darkened; image ``index`` always gets the same noise."""
        # Light is linear, pixel values are not: halving it takes 2**(-1/2.2) off a value.
        dark = rgb.astype(np.float32) * np.float32(2.0 ** (-self.stops / GAMMA))
        rng = np.random.default_rng([self.seed, index])
        dark += rng.standard_normal(rgb.shape, np.float32) * np.float32(255 * self.noise)
        return np.clip(np.round(dark), 0, 255).astype(np.uint8)
