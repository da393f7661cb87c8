"""What can go wrong with a camera and a microphone, as transforms of a recording's events.

Each class is a function ``events -> events`` over :class:`~avs_ros.media.source.Frame` and
:class:`~avs_ros.media.source.Sound`; :func:`chain` applies several.  The same seed gives the same
events each time.  Sound that is changed becomes mono float32.  Images stay lazy: a frame that
nobody decodes costs nothing.  Transforms that move stamps may hand out a frame before its sound;
the replay waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

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


class Perturbation(Protocol):
    """A transform of a recording's events."""

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events with something done to them."""
        ...


def chain(*steps: Perturbation) -> Perturbation:
    """All ``steps``, the first one first; none: the events as they are."""

    def apply(events: Iterator[Event]) -> Iterator[Event]:
        for step in steps:
            events = step(events)
        return events

    return apply


def gain_to(level_dbfs: float, samples: Float) -> float:
    """The factor that brings the RMS of ``samples`` to ``level_dbfs``; 0 for digital silence."""
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
    return 10 ** (level_dbfs / 20) / rms if rms > 0 else 0.0


def _mono(sound: Sound) -> Float:
    return to_mono(sound.samples).samples


def _added(sound: Sound, extra: Float) -> Sound:
    """The chunk, mono, with ``extra`` ``[n]`` on it."""
    return replace(sound, samples=np.clip(_mono(sound) + extra, -1, 1).astype(np.float32))


@dataclass(frozen=True)
class Silence:
    """The microphone delivers, but only zeros."""

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        for event in events:
            if isinstance(event, Sound):
                event = replace(event, samples=np.zeros(len(event.samples), np.float32))
            yield event


@dataclass(frozen=True)
class Noise:
    """White noise of ``level_dbfs`` (RMS); ``alone``: instead of the sound, else added to it."""

    level_dbfs: float
    alone: bool = False
    seed: int = 0

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        rng = np.random.default_rng(self.seed)
        amplitude = 10 ** (self.level_dbfs / 20)
        start = Silence()(events) if self.alone else events
        for event in start:
            if isinstance(event, Sound):
                noise = amplitude * rng.standard_normal(len(event.samples))
                event = _added(event, noise.astype(np.float32))
            yield event


@dataclass(frozen=True, eq=False)
class OtherSound:
    """Another recording's sound, from its beginning and over again when it ends.

    ``track``: float32 ``[n]`` mono at ``rate_hz``; ``level_dbfs``: RMS it is brought to.
    ``alone``: it takes the place of the recording's own sound; else both are heard.
    """

    track: Float
    rate_hz: int
    level_dbfs: float
    alone: bool = True

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        if not self.track.size:
            raise AudioFormatError("the other recording has no sound to play")
        track: Float = self.track * np.float32(gain_to(self.level_dbfs, self.track))
        begin: int | None = None
        for event in Silence()(events) if self.alone else events:
            if isinstance(event, Sound):
                begin = event.stamp_ns if begin is None else begin
                yield _added(event, self._piece(track, event, begin))
            else:
                yield event

    def _piece(self, track: Float, sound: Sound, begin_ns: int) -> Float:
        """The part of the track that plays during the chunk, at the chunk's rate."""
        seconds = (sound.stamp_ns - begin_ns) / SECOND_NS
        at = (seconds + np.arange(len(sound.samples)) / sound.rate_hz) * self.rate_hz
        if sound.rate_hz == self.rate_hz:
            return track[np.round(at).astype(np.int64) % len(track)]
        whole = np.floor(at).astype(np.int64)
        part = (at - whole).astype(np.float32)
        first, second = track[whole % len(track)], track[(whole + 1) % len(track)]
        return first * (1 - part) + second * part


@dataclass(frozen=True)
class ShiftedSound:
    """The sound's stamps are wrong by ``seconds``: above 0, it seems to come later."""

    seconds: float

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        shift_ns = round(self.seconds * SECOND_NS)
        for event in events:
            if isinstance(event, Sound):
                event = replace(event, stamp_ns=event.stamp_ns + shift_ns)
            yield event


@dataclass(frozen=True)
class ClockDrift:
    """The microphone's clock is off by ``ppm`` of the time since the recording's start.

    Above 0, its stamps run fast: later sound is stamped later than it was heard.
    """

    ppm: float

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        begin: int | None = None
        for event in events:
            if isinstance(event, Sound):
                begin = event.stamp_ns if begin is None else begin
                late_ns = round((event.stamp_ns - begin) * self.ppm * 1e-6)
                event = replace(event, stamp_ns=event.stamp_ns + late_ns)
            yield event


@dataclass(frozen=True)
class _Dropped:
    """A random ``share`` of the events of one kind never arrives."""

    share: float
    seed: int = 0
    kind: ClassVar[type[Frame | Sound]]

    def __post_init__(self) -> None:
        """Raise ParameterError for a share outside 0..1."""
        _check_share(self.share)

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        rng = np.random.default_rng(self.seed)
        for event in events:
            if not isinstance(event, self.kind) or rng.random() >= self.share:
                yield event


class DroppedChunks(_Dropped):
    """A random ``share`` of the sound's chunks never arrives."""

    kind = Sound


class DroppedFrames(_Dropped):
    """A random ``share`` of the images never arrives."""

    kind = Frame


@dataclass(frozen=True)
class Blur:
    """Out of focus: a Gaussian whose sigma is ``share`` of the image's width."""

    share: float

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        for event in events:
            yield _seen(event, self) if isinstance(event, Frame) else event

    def apply(self, rgb: Bytes, index: int) -> Bytes:
        """uint8 ``[H, W, 3]``, blurred."""
        sigma = self.share * rgb.shape[1]
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma)) if sigma > 0 else rgb


@dataclass(frozen=True)
class LowLight:
    """Light halved ``stops`` times, with the noise of a sensor (``noise``: SD, share of white)."""

    stops: float
    noise: float = 0.02
    seed: int = 0

    def __call__(self, events: Iterator[Event]) -> Iterator[Event]:
        """See :class:`Perturbation`."""
        for event in events:
            yield _seen(event, self) if isinstance(event, Frame) else event

    def apply(self, rgb: Bytes, index: int) -> Bytes:
        """uint8 ``[H, W, 3]``, darkened; image ``index`` always gets the same noise."""
        # Light is linear, pixel values are not: halving it takes 2**(-1/2.2) off a value.
        dark = rgb.astype(np.float32) * np.float32(2.0 ** (-self.stops / GAMMA))
        rng = np.random.default_rng([self.seed, index])
        dark += rng.standard_normal(rgb.shape, np.float32) * np.float32(255 * self.noise)
        return np.clip(np.round(dark), 0, 255).astype(np.uint8)


def _seen(frame: Frame, lens: Blur | LowLight) -> Frame:
    decode, index = frame.decode, frame.index
    return replace(frame, decode=lambda: lens.apply(decode(), index))


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ParameterError(f"share is {share}; must be from 0 to 1")
