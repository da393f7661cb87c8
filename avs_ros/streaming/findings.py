"""Why a run found little or nothing, where that is known: messages with the option that helps.

:class:`Findings` watches what comes in and what is paired; :func:`explain` turns counts and levels
into messages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

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
class Observed:
    """What is known at the end of a run.

    ``frames`` answered, of them ``without_sound`` and ``silent`` (below ``silence_dbfs``);
    ``loudest_dbfs`` of all windows; ``sound_s`` seconds of sound that came; ``images_s`` and
    ``sounds_s``: first and last stamp of either (s); ``mix_dbfs`` and ``channels_dbfs``: levels of
    the mix and of the channels before it; ``packets`` read from a file; ``clocks_apart_s``: how
    much the images' stamps are ahead of the sound's by the times of recording;
    ``format_doubted``: that the sound's format is doubtful was told already; ``format_given``:
    the messages say it themselves; ``counters`` of the
    source and of the stream; ``reasons``: counter -> why the first message was refused.
    """

    frames: int = 0
    without_sound: int = 0
    silent: int = 0
    silence_dbfs: float = -60.0
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
    buffer_rate_hz: int = SAMPLE_RATE
    counters: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


class Findings:
    """Collects the metadata of one run."""

    def __init__(self, silence_dbfs: float, buffer_rate_hz: int = SAMPLE_RATE) -> None:
        """``silence_dbfs``: below it sound is silence; ``buffer_rate_hz``: of the windows."""
        self.observed = Observed(silence_dbfs=silence_dbfs, buffer_rate_hz=buffer_rate_hz)
        self._power = np.zeros(2)
        self._samples = 0

    def sound(self, sound: Sound) -> None:
        """Take in a piece of sound."""
        observed, count = self.observed, len(sound.samples)
        observed.sound_s += count / sound.rate_hz
        observed.sounds_s = _grown(observed.sounds_s, sound.stamp_ns, sound.end_ns)
        channels = sound.samples.reshape(count, -1)
        if channels.shape[1] > 1 and count:
            values = to_float(channels).astype(np.float64)
            values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
            mix = values.mean(axis=1)
            self._power += count * np.array([np.mean(mix**2), np.mean(values**2)])
            self._samples += count

    def pair(self, pair: Pair) -> None:
        """Take in a frame that was answered."""
        observed = self.observed
        observed.frames += 1
        observed.images_s = _grown(observed.images_s, pair.stamp_ns, pair.stamp_ns)
        observed.loudest_dbfs = max(observed.loudest_dbfs, pair.level_dbfs)
        if pair.coverage < NO_SOUND:
            observed.without_sound += 1
        elif pair.level_dbfs < observed.silence_dbfs:
            observed.silent += 1

    def explain(self, counters: Mapping[str, int]) -> list[str]:
        """The messages, most important first; none where all is well."""
        observed = self.observed
        observed.counters = counters
        if self._samples:
            observed.mix_dbfs, observed.channels_dbfs = (
                dbfs(power / self._samples) for power in self._power
            )
        return explain(observed)


def _grown(span: tuple[float, float] | None, first_ns: int, last_ns: int) -> tuple[float, float]:
    first, last = first_ns * 1e-9, last_ns * 1e-9
    return (first, last) if span is None else (min(span[0], first), max(span[1], last))


def explain(observed: Observed) -> list[str]:
    """Messages about what is missing, each with what helps."""
    told = [*_about_clocks(observed), *_about_losses(observed), *_about_level(observed)]
    return [message for message in told if message]


def _about_clocks(observed: Observed) -> list[str]:
    apart = observed.clocks_apart_s
    if abs(apart) > CLOCKS_APART_S:
        side = "ahead of" if apart > 0 else "behind"
        tai = " (a camera on TAI is 37 s ahead)" if 34 < apart < 40 else ""
        return [
            f"the stamps of the images are {abs(apart):.1f} s {side} those of the sound{tai}: "
            "their clocks disagree, and images are paired with the wrong sound; try --stamps bag"
        ]
    share = _share(observed.without_sound, observed.frames)
    if share < MUCH:
        return []
    told = f"{observed.without_sound} of {observed.frames} images had no sound"
    if observed.images_s and observed.sounds_s:
        ahead = observed.images_s[0] - observed.sounds_s[1]
        behind = observed.sounds_s[0] - observed.images_s[1]
        if max(ahead, behind) > 0:
            where = "after the sound ends" if ahead > 0 else "before the sound begins"
            return [
                f"{told}: their stamps lie {max(ahead, behind):.1f} s {where}; if the clocks "
                "disagree, try --stamps bag or --audio-offset"
            ]
        sounds_back = observed.counters.get("audio_restarts", 0)
        images_back = observed.counters.get("jumps_back", 0)
        if sounds_back != images_back:
            names = ("sound's", "images'") if sounds_back > images_back else ("images'", "sound's")
            return [f"{told}: the {names[0]} stamps jump back where the {names[1]} do not; try "
                    "--stamps bag"]
    return [f"{told}: the sound is shorter than the images, or has gaps; is it the right topic "
            "(--audio)?"]


def _about_losses(observed: Observed) -> list[str]:
    count = observed.counters.get
    told = []
    broken = _share(count("broken_packets", 0), observed.packets)
    if broken > SOME / 2:
        told.append(
            f"{count('broken_packets', 0)} of {observed.packets} packets of the file could not be "
            "decoded and were left out: it is damaged; copy it again from where it was recorded"
        )
    for counter, what, good in (
        ("malformed_images", "images", observed.frames),
        ("malformed_sounds", "sound messages", count("audio_chunks", 0)),
        ("decode_errors", "images", observed.frames),
    ):
        refused = count(counter, 0)
        if _share(refused, refused + good) > SOME:
            reason = observed.reasons.get(counter, "")
            told.append(
                f"{refused} of {refused + good} {what} could not be used"
                + (f": {reason}" if reason else "")
            )
    overlap = _share(count("audio_overlap_samples", 0), count("audio_samples", 0))
    if overlap > SOME and not observed.format_doubted:
        cause = "the rate that its messages state is wrong" if observed.format_given else (
            "rate, channels or format are other than assumed (--audio-rate, --audio-channels, "
            "--audio-format)"
        )
        told.append(
            f"{overlap:.0%} of the sound was dropped, since by its stamps that time was heard "
            f"already: {cause}, or two publishers share the topic"
        )
    missing_s = count("audio_gap_samples", 0) / observed.buffer_rate_hz
    if _share(missing_s, missing_s + observed.sound_s) > SOME and not observed.format_doubted:
        told.append(
            f"{missing_s:.1f} s of sound are missing between chunks, {observed.sound_s:.1f} s "
            f"came: "
            "chunks were lost while recording (subscribe reliably, with a longer queue)"
            + ("" if observed.format_given else ", or their rate is another (--audio-rate)")
        )
    late = count("dropped_out_of_order", 0) + count("dropped_duplicate", 0)
    if _share(late, late + observed.frames) > SOME:
        told.append(
            f"{late} of {late + observed.frames} images were dropped, since their stamps repeat "
            f"or "
            "run backwards; try --stamps bag"
        )
    return told


def _about_level(observed: Observed) -> list[str]:
    told = []
    if observed.mix_dbfs < observed.channels_dbfs - CANCELLED_DB and observed.channels_dbfs > -90:
        told.append(
            f"the channels of the sound cancel each other: {observed.channels_dbfs:.0f} dBFS "
            f"each, "
            f"{observed.mix_dbfs:.0f} dBFS together; one is inverted: take one alone with "
            f"--channel 1"
        )
    heard = observed.frames - observed.without_sound
    if heard and not told and _share(observed.silent, heard) > NEARLY_ALL:
        level = "digital silence" if observed.loudest_dbfs < -110 else (
            f"at most {observed.loudest_dbfs:.0f} dBFS"
        )
        told.append(
            f"the sound is silence in {observed.silent} of {heard} images ({level}, the limit is "
            f"{observed.silence_dbfs:.0f} dBFS): is it the right topic or track, is the "
            f"microphone "
            "muted, or is --silence-dbfs too high?"
        )
    samples = observed.counters.get("audio_samples", 0)
    if _share(observed.counters.get("audio_clipped", 0), samples) > SOME:
        told.append(
            "much of the sound lies past full scale and is clipped: floats must be -1..1, "
            "integers must be sent as integers (--audio-format)"
        )
    if _share(observed.counters.get("audio_nonfinite", 0), samples) > SOME:
        told.append("much of the sound is NaN or infinite and was set to zero: is it of another "
                    "format (--audio-format)?")
    return told


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
