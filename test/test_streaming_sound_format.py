"""Sound that was taken for another format than it has: recognised by sizes, stamps and bytes."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from media_files import tone

from avs_ros.streaming.pcm import AudioFormat
from avs_ros.streaming.sound_format import FormatCheck

SECOND = 1_000_000_000
USUAL = AudioFormat("S16LE", 1, 16000)


def music(seconds: float, form: AudioFormat, seed: int = 0) -> np.ndarray:
    """Tones and a little noise, other in each channel, float [n, channels]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * form.rate)) / form.rate
    channels = []
    for _ in range(form.channels):
        tones = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) / f
                    for f in rng.uniform(100, 1500, 5))
        channels.append(tones / np.abs(tones).max() * 0.4 + rng.normal(0, 0.004, len(t)))
    return np.stack(channels, axis=1)


def coded(samples: np.ndarray, name: str) -> bytes:
    """``samples`` as bytes of a format, written out by hand."""
    scale = {"S16": 2**15 - 1, "S32": 2**31 - 1, "S24": 2**23 - 1}.get(name[:3])
    if name.startswith("F32"):
        return samples.astype("<f4" if name.endswith("LE") else ">f4").tobytes()
    if name == "U8":
        return np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    assert scale is not None
    whole = np.round(samples * scale).astype(np.int64)
    order = ">" if name.endswith("BE") else "<"
    if name == "S24LE":
        return whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    return whole.astype(f"{order}i{2 if name[:3] == 'S16' else 4}").tobytes()


def check_of(
    form: AudioFormat, assumed: AudioFormat = USUAL, chunk_s: float = 0.032, chunks: int = 64,
    jitter_s: float = 0.0, keep: float = 1.0, seed: int = 0,
) -> FormatCheck:
    """Chunks of ``form``, stamped by its rate, taken for ``assumed``."""
    rng = np.random.default_rng(seed)
    samples = music(chunk_s * chunks + 0.1, form, seed)
    check = FormatCheck(assumed)
    count = round(chunk_s * form.rate)
    for i in range(chunks):
        if rng.random() <= keep:
            stamp = 10 * SECOND + round((i * count / form.rate + rng.uniform(-1, 1) * jitter_s)
                                        * SECOND)
            check.add(stamp, coded(samples[i * count : (i + 1) * count], form.sample_format))
    return check


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", ["S16LE", "F32LE", "S32LE", "S24LE", "S16BE"])
def test_the_true_format_is_suggested(rate: int, channels: int, name: str) -> None:
    form = AudioFormat(name, channels, rate)
    check = check_of(form)
    if form == USUAL:
        assert check.excess() == 1.0
        assert check.finding("/audio") == ""
        return
    factor = form.bytes_per_second / USUAL.bytes_per_second
    assert check.excess() == pytest.approx(factor if abs(factor - 1) > 0.15 else 1.0, rel=0.03)
    assert check.suggestion() == form
    message = check.finding("/audio")
    assert f"--audio-rate {rate} --audio-channels {channels} --audio-format {name}" in message
    assert "\n" not in message


def test_two_equal_channels_are_two_channels() -> None:
    form = AudioFormat("S16LE", 2, 44100)
    samples = np.repeat(music(2.2, AudioFormat("S16LE", 1, 44100)), 2, axis=1)
    check = FormatCheck(USUAL)
    for i in range(64):
        piece = samples[i * 1411 : (i + 1) * 1411]
        check.add(SECOND + round(i * 1411 / 44100 * SECOND), coded(piece, "S16LE"))
    assert check.suggestion() == form
    assert "5.5 times the sound that their stamps allow" in check.finding("/audio")


@pytest.mark.parametrize("form", [USUAL, AudioFormat("S16LE", 2, 44100),
                                  AudioFormat("S32LE", 4, 48000),
                                  AudioFormat("U8", 1, 8000), AudioFormat("F32LE", 2, 16000)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_right_is_not_doubted(form: AudioFormat, seed: int) -> None:
    """Neither with jitter of the stamps nor with chunks that were lost."""
    for jitter, keep in ((0.0, 1.0), (0.01, 1.0), (0.0, 0.7), (0.005, 0.8)):
        check = check_of(form, form, jitter_s=jitter, keep=keep, seed=seed)
        assert check.finding("/audio") == "", (jitter, keep)


def test_stamps_that_come_in_bursts_are_no_contradiction() -> None:
    """Four chunks at a time, as from a sound server with a large buffer."""
    data = coded(music(3.0, USUAL), "S16LE")
    check = FormatCheck(USUAL)
    for i in range(64):
        stamp = SECOND + (i // 4) * 128_000_000 + (i % 4) * 200_000
        check.add(stamp, data[i * 1024 : (i + 1) * 1024])
    assert check.excess() == 1.0


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_says_nothing_about_its_format_but_its_size_does(level: float) -> None:
    rng = np.random.default_rng(1)
    check = FormatCheck(USUAL)
    for i in range(30):
        piece = rng.normal(0, level, (1536, 2)) if level else np.zeros((1536, 2))
        check.add(SECOND + i * 32_000_000, coded(piece, "S16LE"))
    assert check.excess() == pytest.approx(6.0, rel=0.01)
    assert "--audio-rate" in check.finding("/audio")


def test_few_chunks_are_no_ground_for_a_judgement() -> None:
    assert check_of(AudioFormat("S16LE", 2, 44100), chunks=4).finding("/audio") == ""
    assert FormatCheck(USUAL).finding("/audio") == ""


def encoded(codec: str, layout: str = "stereo") -> list[bytes]:
    """Packets of a codec, as a capture node publishes them."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout = 44100, layout
    encoder.format = "fltp"
    packets = []
    samples = np.tile(tone(3.0, 44100), (2 if layout == "stereo" else 1, 1))
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
    fifo = av.AudioFifo()
    fifo.write(frame)
    while (piece := fifo.read(1152)) is not None:
        packets += [bytes(one) for one in encoder.encode(piece)]
    return packets


@pytest.mark.parametrize("together", [1, 3])
def test_mp3_is_recognised_however_it_is_cut_into_messages(together: int) -> None:
    packets = encoded("libmp3lame")
    check = FormatCheck(USUAL)
    for i in range(0, len(packets) - together, together):
        check.add(SECOND + i * 26_122_449, b"".join(packets[i : i + together]))
    assert check.codec() == "MP3"


def test_other_codecs_are_recognised_by_their_marks() -> None:
    for first, name in ((b"OggS\0\2" + bytes(60), "Ogg"), (b"fLaC\0\0\0\x22" + bytes(60), "FLAC")):
        check = FormatCheck(USUAL)
        check.add(SECOND, first)
        for i in range(9):
            check.add(SECOND + i, np.random.default_rng(i).bytes(400))
        assert check.codec() == name


@pytest.mark.parametrize("seed", range(20))
def test_samples_are_no_codec(seed: int) -> None:
    rng = np.random.default_rng(seed)
    check = FormatCheck(USUAL)
    for i in range(64):
        check.add(SECOND + i * 32_000_000, rng.bytes(1024))
    assert check.codec() == ""
    loud = FormatCheck(USUAL)
    for i in range(64):  # -1 and -2: every byte may look like the begin of a frame
        loud.add(SECOND + i * 32_000_000, rng.integers(-6, 1, 512).astype("<i2").tobytes())
    assert loud.codec() == ""
