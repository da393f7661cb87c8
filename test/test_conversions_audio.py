"""Sound: three families, their formats, and each way of being malformed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avs_ros.conversions.audio import (
    AUDIO_TYPES,
    make_audio,
    make_audio_info,
    read_audio,
    read_audio_info,
)
from avs_ros.conversions.messages import MalformedAudio
from avs_ros.errors import AudioFormatError
from avs_ros.media.bag_types import BAG
from avs_ros.streaming.pcm import AudioFormat, to_mono

STAMP = 1_700_000_000_250_000_000
RATE = 44100


def tone(channels: int = 2, n: int = 441) -> np.ndarray:
    phase = np.arange(n)[:, None] * np.linspace(0.1, 0.3, channels)[None]
    return (0.5 * np.sin(phase)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("family", list(AUDIO_TYPES))
def test_every_family_gives_back_time_rate_and_samples(family: str, channels: int) -> None:
    sound = tone(channels)
    sent = make_audio(BAG, family, STAMP, sound, RATE, "microphone")
    info = read_audio_info(make_audio_info(BAG, RATE, channels))
    chunk = read_audio(sent, info, received_ns=STAMP + 10_000_000)
    assert chunk.stamp_ns == STAMP  # 441 samples at 44.1 kHz are 10 ms
    assert chunk.rate_hz == RATE
    assert chunk.samples.shape == sound.shape
    assert np.abs(chunk.samples / 32768.0 - sound).max() < 1e-4
    if family in ("AudioDataStamped", "AudioStamped"):
        assert sent.header.frame_id == "microphone"


def test_the_other_package_of_the_same_name_is_told() -> None:
    other = make_audio(BAG, "AudioStamped", STAMP, tone(1), RATE).audio
    with pytest.raises(MalformedAudio, match="mgonzs13"):
        read_audio_info(other.info)
    with pytest.raises(MalformedAudio, match="ros-drivers"):
        read_audio(other.audio_data)


def test_sound_without_a_stamp_needs_a_time_of_reception() -> None:
    sent = make_audio(BAG, "AudioData", STAMP, tone(1), RATE)
    with pytest.raises(MalformedAudio, match="before the first /clock"):
        read_audio(sent, AudioFormat("S16LE", 1, RATE))


def test_one_dimensional_sound_is_one_channel() -> None:
    sent = make_audio(BAG, "RawAudio", STAMP, np.array([1, -2, 3], np.int16), 16000)
    assert sent.number_of_channels == 1
    assert read_audio(sent).samples[:, 0].tolist() == [1, -2, 3]


def test_full_scale_is_clipped_not_wrapped() -> None:
    sent = make_audio(BAG, "RawAudio", STAMP, np.array([1.5, -1.5, 1.0], np.float32), 16000)
    assert read_audio(sent).samples[:, 0].tolist() == [32767, -32768, 32767]


@pytest.mark.parametrize(
    ("sample_format", "dtype", "scale"),
    [("S16LE", "<i2", 2**15), ("S16BE", ">i2", 2**15), ("S32LE", "<i4", 2**31),
     ("F32LE", "<f4", 1.0), ("F32BE", ">f4", 1.0)],
)
def test_formats_of_the_family_without_description(
    sample_format: str, dtype: str, scale: float
) -> None:
    sound = tone(1)[:, 0]
    data = (sound.astype(np.float64) * scale).astype(dtype).tobytes()
    sent = make_audio(BAG, "AudioDataStamped", STAMP, np.zeros(1, np.int16), RATE)
    sent.audio.data = data
    chunk = read_audio(sent, AudioFormat(sample_format, 1, RATE))
    assert np.abs(to_mono(chunk.samples).samples - sound).max() < 1e-3


@pytest.mark.parametrize(
    ("flag", "field", "dtype", "scale"),
    [(1, "float32_data", np.float32, 1.0), (2, "int32_data", np.int32, 2**31 - 1),
     (8, "int16_data", np.int16, 2**15 - 1), (16, "int8_data", np.int8, 127)],
)
def test_portaudio_formats_of_the_self_describing_family(
    flag: int, field: str, dtype: Any, scale: float
) -> None:
    sound = tone(2)
    sent = make_audio(BAG, "AudioStamped", STAMP, np.zeros((1, 2), np.int16), RATE)
    sent.audio.audio_data.int16_data = []
    setattr(sent.audio.audio_data, field,
            (sound.astype(np.float64) * scale).astype(dtype).reshape(-1).tolist())
    sent.audio.info.format = flag
    mono = to_mono(read_audio(sent).samples).samples
    assert np.abs(mono - sound.mean(axis=1)).max() < 0.01


def broken(family: str, **changes: Any) -> Any:
    sent = make_audio(BAG, family, STAMP, tone(2), RATE)
    for name, value in changes.items():
        *path, last = name.split("__")
        target = sent
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    return sent


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("audio_rate", lambda: broken("RawAudio", sample_rate=0)),
        ("audio_rate", lambda: broken("AudioStamped", audio__info__rate=-5)),
        ("audio_channels", lambda: broken("RawAudio", number_of_channels=0)),
        ("audio_channels", lambda: broken("AudioStamped", audio__info__channels=0)),
        ("audio_channels", lambda: broken("RawAudio", number_of_channels=4000)),
        ("audio_truncated", lambda: broken("RawAudio", number_of_channels=5)),
        ("audio_truncated", lambda: broken("AudioStamped", audio__info__channels=5)),
        ("audio_truncated", lambda: broken("RawAudio", data=b"\0" * 7)),
        ("audio_truncated", lambda: broken("AudioDataStamped", audio__data=b"\0" * 3)),
        ("audio_format", lambda: broken("RawAudio", format="opus")),
        ("audio_format", lambda: broken("AudioStamped", audio__info__format=3)),
        ("audio_empty", lambda: broken("RawAudio", data=b"")),
        ("audio_empty", lambda: broken("AudioStamped", audio__info__format=1)),
        ("audio_stamp_zero", lambda: make_audio(BAG, "RawAudio", 0, tone(), RATE)),
        ("audio_stamp_zero", lambda: make_audio(BAG, "AudioStamped", 0, tone(), RATE)),
        ("audio_stamp_zero", lambda: make_audio(BAG, "AudioDataStamped", 0, tone(), RATE)),
        ("audio_type", lambda: SimpleNamespace(int16_data=[1])),
    ],
)
def test_malformed_sound_is_refused_with_its_reason(reason: str, sent: Any) -> None:
    with pytest.raises(MalformedAudio) as caught:
        read_audio(sent(), AudioFormat("S16LE", 2, RATE))
    assert caught.value.reason == reason
    assert isinstance(caught.value, AudioFormatError)


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("audio_coded", {"coding_format": "MP3"}),
        ("audio_format", {"sample_format": "S17LE"}),
        ("audio_rate", {"sample_rate": 0}),
        ("audio_channels", {"channels": 0}),
    ],
)
def test_audio_info_that_makes_the_sound_unusable(reason: str, fields: dict[str, Any]) -> None:
    info = make_audio_info(BAG, RATE, 2)
    for name, value in fields.items():
        setattr(info, name, value)
    with pytest.raises(MalformedAudio) as caught:
        read_audio_info(info)
    assert caught.value.reason == reason
    if reason == "audio_coded":
        assert "format:=wave" in str(caught.value)


def test_other_sample_types_are_written_as_sixteen_bits() -> None:
    for samples in (np.array([0, 2**30], np.int32), np.array([128, 192], np.uint8)):
        sent = make_audio(BAG, "RawAudio", STAMP, samples, 16000)
        assert read_audio(sent).samples[:, 0].tolist() == [0, 2**14]
    with pytest.raises(AudioFormatError, match="complex"):
        make_audio(BAG, "RawAudio", STAMP, np.zeros(3, np.complex64), 16000)
    with pytest.raises(AudioFormatError, match="expected one of"):
        make_audio(BAG, "Sound", STAMP, np.zeros(3, np.int16), 16000)
