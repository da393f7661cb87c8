"""Why a run found little or nothing, where that is known: messages with the option that helps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from avs_ros.sound import SAMPLE_RATE, dbfs
from avs_ros.streaming.inputs import Pair, Sound
from avs_ros.streaming.pcm import to_float

# Shares from which something is told: (nearly) all, much, some.
NEARLY_ALL, MUCH, SOME = 0.9, 0.3, 0.1
# Less of its window than this, and a frame has no sound.
NO_SOUND = 0.1
# Stamps that are this far apart are no delay of the transport (s).
CLOCKS_APART_S = 2.0
# A mix this far below its channels has lost them (dB); two unlike channels lose 3.
CANCELLED_DB = 20.0


@dataclass
class Findings:
    """What is known of a run, collected on its way.

    ``silence_dbfs``: below it sound is silence; ``buffer_rate_hz``: of the windows.  ``frames``
    answered, of them ``without_sound`` and ``silent``; ``loudest_dbfs`` of all windows;
    ``sound_s`` seconds of sound that came; ``images_s`` and ``sounds_s``: first and last stamp of
    either (s); ``mix_dbfs`` and ``channels_dbfs``: levels of the mix and of the channels before
    it; ``packets`` read from a file; ``clocks_apart_s``: how much the images' stamps are ahead of
    the sound's by the times of recording; ``format_doubted``: that the sound's format is doubtful
    was told already; ``format_given``: the messages say it themselves; ``counters`` of the source
    and of the stream; ``reasons``: counter -> why the first message was refused.
    """

    silence_dbfs: float = -60.0
    buffer_rate_hz: int = SAMPLE_RATE
    frames: int = 0
    without_sound: int = 0
    silent: int = 0
    loudest_dbfs: float = -math.inf
    sound_s: float = 0.0
    images_s: tuple[float, float] | None = None
    sounds_s: tuple[float, float] | None = None
    mix_dbfs: float = -math.inf
    channels_dbfs: float = -math.inf
    packets: int = 0
    clocks_apart_s: float = 0.0
    format_doubted: bool = False
    format_given: bool = False
    counters: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    _power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    _samples: int = 0

    def sound(self, sound: Sound) -> None:
        """Take in a piece of sound."""
        count = len(sound.samples)
        self.sound_s += count / sound.rate_hz
        self.sounds_s = _grown(self.sounds_s, sound.stamp_ns, sound.end_ns)
        channels = sound.samples.reshape(count, -1)
        if channels.shape[1] > 1 and count:
            values = to_float(channels).astype(np.float64)
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
            mix = values.mean(axis=1)
            self._power += count * np.array([np.mean(mix**2), np.mean(values**2)])
            self._samples += count

    def pair(self, pair: Pair) -> None:
        """Take in a frame that was answered."""
        self.frames += 1
        self.images_s = _grown(self.images_s, pair.stamp_ns, pair.stamp_ns)
        self.loudest_dbfs = max(self.loudest_dbfs, pair.level_dbfs)
        if pair.coverage < NO_SOUND:
            self.without_sound += 1
        elif pair.level_dbfs < self.silence_dbfs:
            self.silent += 1

    def explain(self) -> list[str]:
        """The messages, most important first; none where all is well."""
        if self._samples:
            self.mix_dbfs, self.channels_dbfs = (dbfs(p / self._samples) for p in self._power)
        return [*self._about_clocks(), *self._about_losses(), *self._about_level()]

    def _about_clocks(self) -> Iterator[str]:
        apart = self.clocks_apart_s
        if abs(apart) > CLOCKS_APART_S:
            side = "ahead of" if apart > 0 else "behind"
            tai = " (a camera on TAI is 37 s ahead)" if 34 < apart < 40 else ""
            yield (
                f"the stamps of the images are {abs(apart):.1f} s {side} those of the sound{tai}: "
                "their clocks disagree, and images are paired with the wrong sound; try --stamps "
                "bag"
            )
            return
        if _share(self.without_sound, self.frames) < MUCH:
            return
        told = f"{self.without_sound} of {self.frames} images had no sound"
        ahead = behind = 0.0
        if self.images_s and self.sounds_s:
            ahead = self.images_s[0] - self.sounds_s[1]
            behind = self.sounds_s[0] - self.images_s[1]
        sounds_back, images_back = self._count("audio_restarts"), self._count("jumps_back")
        if max(ahead, behind) > 0:
            where = "after the sound ends" if ahead > 0 else "before the sound begins"
            yield (
                f"{told}: their stamps lie {max(ahead, behind):.1f} s {where}; if the clocks "
                "disagree, try --stamps bag or --audio-offset"
            )
        elif self.images_s and self.sounds_s and sounds_back != images_back:
            names = ("sound's", "images'") if sounds_back > images_back else ("images'", "sound's")
            yield (
                f"{told}: the {names[0]} stamps jump back where the {names[1]} do not; try "
                "--stamps bag"
            )
        else:
            yield (
                f"{told}: the sound is shorter than the images, or has gaps; is it the right "
                "topic (--audio)?"
            )

    def _count(self, name: str) -> int:
        return self.counters.get(name, 0)

    def _about_losses(self) -> Iterator[str]:
        count = self._count
        if _share(count("broken_packets"), self.packets) > SOME / 2:
            yield (
                f"{count('broken_packets')} of {self.packets} packets of the file could not be "
                "decoded and were left out: it is damaged; copy it again from where it was "
                "recorded"
            )
        for counter, what, good in (
            ("malformed_images", "images", self.frames),
            ("malformed_sounds", "sound messages", count("audio_chunks")),
            ("decode_errors", "images", self.frames),
        ):
            refused = count(counter)
            if _share(refused, refused + good) > SOME:
                reason = self.reasons.get(counter, "")
                yield (
                    f"{refused} of {refused + good} {what} could not be used"
                    + (f": {reason}" if reason else "")
                )
        overlap = _share(count("audio_overlap_samples"), count("audio_samples"))
        if overlap > SOME and not self.format_doubted:
            cause = "the rate that its messages state is wrong" if self.format_given else (
                "rate, channels or format are other than assumed (--audio-rate, --audio-channels, "
                "--audio-format)"
            )
            yield (
                f"{overlap:.0%} of the sound was dropped, since by its stamps that time was heard "
                f"already: {cause}, or two publishers share the topic"
            )
        missing_s = count("audio_gap_samples") / self.buffer_rate_hz
        if _share(missing_s, missing_s + self.sound_s) > SOME and not self.format_doubted:
            yield (
                f"{missing_s:.1f} s of sound are missing between chunks, {self.sound_s:.1f} s "
                "came: chunks were lost while recording (subscribe reliably, with a longer queue)"
                + ("" if self.format_given else ", or their rate is another (--audio-rate)")
            )
        late = count("dropped_out_of_order") + count("dropped_duplicate")
        if _share(late, late + self.frames) > SOME:
            yield (
                f"{late} of {late + self.frames} images were dropped, since their stamps repeat "
                "or run backwards; try --stamps bag"
            )

    def _about_level(self) -> Iterator[str]:
        heard = self.frames - self.without_sound
        if self.mix_dbfs < self.channels_dbfs - CANCELLED_DB and self.channels_dbfs > -90:
            yield (
                f"the channels of the sound cancel each other: {self.channels_dbfs:.0f} dBFS "
                f"each, {self.mix_dbfs:.0f} dBFS together; one is inverted: take one alone with "
                "--channel 1"
            )
        elif heard and _share(self.silent, heard) > NEARLY_ALL:
            level = "digital silence" if self.loudest_dbfs < -110 else (
                f"at most {self.loudest_dbfs:.0f} dBFS"
            )
            yield (
                f"the sound is silence in {self.silent} of {heard} images ({level}, the limit is "
                f"{self.silence_dbfs:.0f} dBFS): is it the right topic or track, is the "
                "microphone muted, or is --silence-dbfs too high?"
            )
        samples = self._count("audio_samples")
        if _share(self._count("audio_clipped"), samples) > SOME:
            yield (
                "much of the sound lies past full scale and is clipped: floats must be -1..1, "
                "integers must be sent as integers (--audio-format)"
            )
        if _share(self._count("audio_nonfinite"), samples) > SOME:
            yield (
                "much of the sound is NaN or infinite and was set to zero: is it of another "
                "format (--audio-format)?"
            )


def _grown(span: tuple[float, float] | None, first_ns: int, last_ns: int) -> tuple[float, float]:
    first, last = first_ns * 1e-9, last_ns * 1e-9
    return (first, last) if span is None else (min(span[0], first), max(span[1], last))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
