"""What can go wrong with a camera and a microphone, as transforms of a recording's events.

Each function makes one: ``events -> events`` over the frames and sound of
:mod:`avs_ros.streaming.inputs`.  The same seed gives the same events each time.  Sound that is
changed becomes mono float32.  Images stay lazy: a frame that nobody decodes costs nothing.
Transforms that move stamps may hand out a frame before its sound; the replay waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from avs_ros.errors import AudioFormatError, ParameterError
from avs_ros.segmentation import Bytes, Float
from avs_ros.streaming.inputs import Event, Frame, Sound
from avs_ros.streaming.pcm import to_mono

Perturbation = Callable[[Iterator[Event]], Iterator[Event]]
# An event, nanoseconds since the first of its kind, chance -> what becomes of it; None: lost.
Change = Callable[[Any, int, np.random.Generator], "Event | None"]
SECOND_NS = 1_000_000_000
# Display gamma of cameras' images, near enough to sRGB's curve.
GAMMA = 2.2


def _changing(kind: type[Event], change: Change, seed: int = 0) -> Perturbation:
    """``change`` of every event of a ``kind``; the others stay as they are."""

    def changed(events: Iterator[Event]) -> Iterator[Event]:
        rng, begin_ns = np.random.default_rng(seed), None
        for event in events:
            if isinstance(event, kind):
                begin_ns = event.stamp_ns if begin_ns is None else begin_ns
                found = change(event, event.stamp_ns - begin_ns, rng)
                if found is not None:
                    yield found
            else:
                yield event

    return changed


def _heard(sound: Sound, extra: Float, alone: bool = True) -> Sound:
    """The chunk, mono, with ``extra`` ``[n]`` in place of its sound, or on it."""
    whole = extra if alone else to_mono(sound.samples).samples + extra
    return replace(sound, samples=np.clip(whole, -1, 1).astype(np.float32))


def silence() -> Perturbation:
    """The microphone delivers, but only zeros."""
    return _changing(
        Sound, lambda sound, *_: _heard(sound, np.zeros(len(sound.samples), np.float32))
    )


def noise(level_dbfs: float, alone: bool = False, seed: int = 0) -> Perturbation:
    """White noise of ``level_dbfs`` (RMS); ``alone``: instead of the sound, else added to it."""

    def change(sound: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        drawn = 10 ** (level_dbfs / 20) * rng.standard_normal(len(sound.samples))
        return _heard(sound, drawn.astype(np.float32), alone)

    return _changing(Sound, change, seed)


def other_sound(
    track: Float, rate_hz: int, level_dbfs: float, alone: bool = True
) -> Perturbation:
    """Another recording's sound, from its beginning and over again when it ends.

    ``track``: float32 ``[n]`` mono at ``rate_hz``; ``level_dbfs``: RMS it is brought to.
    ``alone``: it takes the place of the recording's own sound; else both are heard.
    """

    @lru_cache(maxsize=1)
    def played() -> Float:
        if not track.size:
            raise AudioFormatError("the other recording has no sound to play")
        rms = float(np.sqrt(np.mean(np.square(track, dtype=np.float64))))
        # Digital silence stays it.
        return track * np.float32(10 ** (level_dbfs / 20) / rms if rms > 0 else 0.0)

    def change(sound: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        """With the part of the track that plays during the chunk, at the chunk's rate."""
        other = played()
        seconds = since_ns / SECOND_NS + np.arange(len(sound.samples)) / sound.rate_hz
        at = seconds * rate_hz
        if sound.rate_hz == rate_hz:
            return _heard(sound, other[np.round(at).astype(np.int64) % len(other)], alone)
        whole = np.floor(at).astype(np.int64)
        part = (at - whole).astype(np.float32)
        first, second = other[whole % len(other)], other[(whole + 1) % len(other)]
        return _heard(sound, first * (1 - part) + second * part, alone)

    return _changing(Sound, change)


def shifted_sound(seconds: float) -> Perturbation:
    """The sound's stamps are wrong by ``seconds``: above 0, it seems to come later."""
    by_ns = round(seconds * SECOND_NS)
    return _changing(Sound, lambda sound, *_: replace(sound, stamp_ns=sound.stamp_ns + by_ns))


def clock_drift(ppm: float) -> Perturbation:
    """The microphone's clock is off by ``ppm`` of the time since the recording's start.

    Above 0, its stamps run fast: later sound is stamped later than it was heard.
    """

    def change(sound: Sound, since_ns: int, rng: np.random.Generator) -> Sound:
        return replace(sound, stamp_ns=sound.stamp_ns + round(since_ns * ppm * 1e-6))

    return _changing(Sound, change)


def dropped(kind: type[Event], share: float, seed: int = 0) -> Perturbation:
    """A random ``share`` of the images (:class:`Frame`) or chunks of sound never arrives.

    Raises ParameterError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ParameterError(f"share is {share}; must be from 0 to 1")
    return _changing(
        kind, lambda event, _, rng: event if rng.random() >= share else None, seed
    )


def _seen_through(lens: Callable[[Bytes, int], Bytes]) -> Perturbation:
    """Images look different; ``lens``: an image and its number -> what is seen of it."""

    def change(frame: Frame, *_: Any) -> Frame:
        return replace(frame, decode=lambda: lens(frame.decode(), frame.index))

    return _changing(Frame, change)


def blur(share: float) -> Perturbation:
    """Out of focus: a Gaussian whose sigma is ``share`` of the image's width."""

    def lens(rgb: Bytes, index: int) -> Bytes:
        sigma = share * rgb.shape[1]
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma)) if sigma > 0 else rgb

    return _seen_through(lens)


def low_light(stops: float) -> Perturbation:
    """Light halved ``stops`` times, with the noise of a sensor (SD: one fiftieth of white).

    An image of one number always gets the same noise.
    """

    def lens(rgb: Bytes, index: int) -> Bytes:
        # Light is linear, pixel values are not: halving it takes 2**(-1/2.2) off a value.
        dark = rgb.astype(np.float32) * np.float32(2.0 ** (-stops / GAMMA))
        rng = np.random.default_rng([0, index])
        dark += rng.standard_normal(rgb.shape, np.float32) * np.float32(255 * 0.02)
        return np.clip(np.round(dark), 0, 255).astype(np.uint8)

    return _seen_through(lens)
