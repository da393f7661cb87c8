"""Sound whose format was only assumed, held against what its chunks show.

Messages of ros-drivers' ``AudioDataStamped`` are bytes: rate, channels and sample format stand in
an ``AudioInfo`` that is often missing.  A wrong assumption shows in three ways: chunks hold more
or less sound than lies between their stamps; samples in a wrong format are noise; and compressed
sound begins with the marks of its codec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avs_ros.errors import AudioFormatError
from avs_ros.streaming import pcm
from avs_ros.streaming.pcm import AudioFormat

# Chunks that are looked at, and as many as are needed for a judgement.
CHUNKS, ENOUGH = 64, 8
# Sizes and stamps that disagree by less than this factor are drift, jitter or loss.
TOLERANCE = 1.15
RATES = (16000, 44100, 48000, 32000, 22050, 8000, 24000, 11025, 96000, 88200, 192000)
FORMATS = ("S16LE", "F32LE", "S32LE", "S24LE", "U8", "S16BE", "S32BE", "F32BE")
# Samples in a wrong format change as much from one to the next as noise does (2).
_NOISE = 1.2
_CODECS = {b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3"}
# MPEG-1 and MPEG-2 layer III: kbit/s, by the header's index.
_BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MPEG_RATES = (44100, 48000, 32000)


class FormatCheck:
    """Looks at the first chunks of a stream; cheap afterwards."""

    def __init__(self, assumed: AudioFormat) -> None:
        """``assumed``: what the chunks are taken for."""
        self.assumed = assumed
        self._stamps: list[int] = []
        self._chunks: list[bytes] = []

    @property
    def full(self) -> bool:
        """Whether more chunks change nothing."""
        return len(self._chunks) >= CHUNKS

    def add(self, stamp_ns: int, data: bytes) -> None:
        """Take in the next chunk: stamp of its first sample (ns; 0 for none) and its bytes."""
        if not self.full:
            self._stamps.append(stamp_ns)
            self._chunks.append(data)

    def codec(self) -> str:
        """Name of the codec that the chunks are coded in, "" for samples."""
        found = [_codec(chunk) for chunk in self._chunks]
        name = max(found, key=found.count, default="")
        # Ogg and FLAC say so once, at their beginning.
        if found and found[0] in ("Ogg", "FLAC"):
            return found[0]
        return name if found.count(name) >= min(3, len(found)) else ""

    def excess(self) -> float:
        """How many times the sound that their stamps allow the chunks hold; 1 where in doubt."""
        steps = np.diff(np.array(self._stamps, np.float64)) * 1e-9
        seconds = np.array([len(chunk) for chunk in self._chunks[:-1]], np.float64)
        seconds /= self.assumed.bytes_per_second
        good = (steps > 0) & (steps < 5.0) & (seconds > 0)
        if np.count_nonzero(good) < ENOUGH - 1:
            return 1.0
        middle = float(np.median(seconds[good] / steps[good]))
        total = float(seconds[good].sum() / steps[good].sum())
        # Stamps that come in bursts spoil the one, chunks that were lost the other.
        if min(abs(np.log(middle)), abs(np.log(total))) < np.log(TOLERANCE) or (
            (middle > 1) != (total > 1)
        ):
            return 1.0
        return total if abs(np.log(middle / total)) < 0.1 else middle

    def suggestion(self) -> AudioFormat | None:
        """The likeliest other format, None where nothing speaks for one."""
        excess = self.excess()
        if len(self._chunks) < ENOUGH:
            return None
        own = _roughness(self._chunks, self.assumed)
        if excess == 1.0 and own < _NOISE:
            return None
        wanted = self.assumed.bytes_per_second * excess
        scored = [
            (score, rank, one) for rank, one in enumerate(_candidates(wanted))
            if (score := _roughness(self._chunks, one)) < _NOISE
        ]
        if not scored:
            return None
        smoothest = min(score for score, _, _ in scored)
        # Of those that are about as smooth, the most usual one.
        _, _, best = min((one for one in scored if one[0] < smoothest + 0.25), key=lambda s: s[1])
        if excess == 1.0 and smoothest > 0.4 * own:
            return None
        return None if best == self.assumed else best

    def finding(
        self, topic: str, says: str = "", option: str = "--audio-{name} {value}"
    ) -> str:
        """The contradiction in one message, with the options that help; "" for none.

        ``says``: where the format is from ("" for nowhere); ``option``: how ``rate``,
        ``channels`` and ``format`` are given.
        """
        excess, better = self.excess(), self.suggestion()
        taken = f"{topic}: taken for {self.assumed}, {says or 'since nothing says its format'}"
        if better is not None:
            values = {"rate": better.rate, "channels": better.channels,
                      "format": better.sample_format}
            given = " ".join(option.format(name=n, value=v) for n, v in values.items())
            advice = f"it looks like {better}: try {given}"
        else:
            names = [option.format(name=n, value="").strip() for n in
                     ("rate", "channels", "format")]
            advice = f"say what it is with {', '.join(names)}"
        if excess == 1.0:
            return f"{taken}, but as that it is noise; {advice}" if better is not None else ""
        lost = "much of it was lost, or " if excess < 1 else ""
        return (
            f"{taken}, but its chunks hold {excess:.1f} times the sound that their stamps allow; "
            f"{lost}{advice}"
        )


def _candidates(bytes_per_second: float) -> Iterator[AudioFormat]:
    """Formats of about this rate, the most usual first."""
    for name, few in product(FORMATS, ((1, 2), (4, 6, 8))):
        for rate, channels in product(RATES, few):
            one = AudioFormat(name, channels, rate)
            if abs(one.bytes_per_second / bytes_per_second - 1) < 0.03:
                yield one


def _roughness(chunks: Sequence[bytes], form: AudioFormat) -> float:
    """Mean square of the steps from sample to sample over that of the samples; noise has 2.

    Infinite for chunks that cannot be of this format.
    """
    steps = power = 0.0
    for chunk in chunks:
        try:
            samples = pcm.decode(chunk, form.sample_format, form.channels)
        except AudioFormatError:
            return np.inf
        values = _centred(samples)
        if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 8.0:
            return np.inf
        paired = form.channels == 1 and len(values) % 2 == 0 and bool(values.any())
        if paired and (values[0::2] == values[1::2]).all():
            return np.inf  # two equal channels
        steps += float(np.square(np.diff(values, axis=0)).sum())
        power += float(np.square(values[1:]).sum())
    return steps / power if power > 0 else np.inf


def _centred(samples: NDArray[Any]) -> NDArray[np.float64]:
    """-1..1, without the mean."""
    with np.errstate(all="ignore"):  # bytes of another format may be any float
        values = pcm.to_float(samples).astype(np.float64)
        return values - values.mean(axis=0) if len(values) else values


def _codec(chunk: bytes) -> str:
    """The codec whose marks a chunk bears, from its first byte to its last."""
    for mark, name in _CODECS.items():
        if chunk.startswith(mark):
            return name
    at = frames = 0
    while at + 4 <= len(chunk):
        length, name = _frame(chunk[at : at + 7])
        if not length:
            return ""
        at += length
        frames += 1
    return name if frames else ""


def _frame(header: bytes) -> tuple[int, str]:
    """Length in bytes and codec of an MPEG audio frame; 0 for none."""
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0, ""
    if header[1] & 0xF6 == 0xF0 and len(header) >= 6:  # ADTS
        return (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5, "AAC"
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    index, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or index in (0, 15) or rate == 3:
        return 0, ""
    old = version == 3
    bits = _BITRATES[0 if old else 1][index] * 1000
    hertz = _MPEG_RATES[rate] // (1 if old else 2 if version == 2 else 4)
    return (144 if old else 72) * bits // hertz + (header[2] >> 1 & 1), "MP3"
