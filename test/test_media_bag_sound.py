"""Sound of a bag that says nothing of its format, or what is not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_answers import START, TENTH, answers
from media_files import BagMaker, lamp, tone, write_bag

from avs_ros.errors import BagError
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Sound

# ---------------------------------------------------------------------- sound without a format
from avs_ros.streaming.pcm import AudioFormat


def bytes_bag(path: Path, chunks: list[bytes], step_ns: int, info: dict[str, Any] | None = None,
              ) -> Path:
    """A camera at 10 Hz beside ``chunks`` in AudioDataStamped, ``step_ns`` apart."""
    bag = BagMaker(path)
    if info is not None:
        message = bag.message("audio_common_msgs/msg/AudioInfo", **{
            "channels": 1, "sample_rate": 16000, "sample_format": "S16LE", "bitrate": 0,
            "coding_format": "WAVE", **info})
        bag.write("/audio_info", "audio_common_msgs/msg/AudioInfo", message, START)
    for i, chunk in enumerate(chunks):
        at = START + i * step_ns
        data = bag.message("audio_common_msgs/msg/AudioData", data=np.frombuffer(chunk, np.uint8))
        message = bag.message("audio_common_msgs/msg/AudioDataStamped", header=bag.header(at),
                              audio=data)
        bag.write("/audio", "audio_common_msgs/msg/AudioDataStamped", message, at)
    for i in range(round(len(chunks) * step_ns / TENTH)):
        bag.image(START + i * TENTH, lamp())
    return bag.close()


def pcm(seconds: float, rate: int, channels: int = 1) -> bytes:
    wave = np.round(tone(seconds, rate) * 32767).astype("<i2")
    return np.repeat(wave, channels).tobytes()


def test_mp3_is_said_to_be_mp3(tmp_path: Path) -> None:
    import av

    encoder = av.CodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "fltp"
    packets = []
    for i in range(80):
        frame = av.AudioFrame.from_ndarray(
            tone(0.036)[None, :576], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 576 * i
        packets += [bytes(one) for one in encoder.encode(frame)]
    path = bytes_bag(tmp_path / "bag", packets, 36_000_000)
    with pytest.raises(BagError, match=r"/audio holds MP3 frames.*format:=wave") as caught:
        BagSource(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("info", [None, {}, {"sample_rate": 44100, "channels": 2}])
def test_what_is_assumed_or_stated_is_held_against_the_chunks(
    tmp_path: Path, info: dict[str, Any] | None
) -> None:
    data = pcm(2.0, 44100, 2)
    chunks = [data[i : i + 17640] for i in range(0, len(data), 17640)]
    path = bytes_bag(tmp_path / "bag", chunks, TENTH, info)
    source = BagSource(path)
    source.close()
    if info and info["sample_rate"] == 44100:
        assert source.doubts == []
        assert source.info.audio_rate_hz == 44100
        return
    (doubt,) = source.doubts
    assert "5.5 times" in doubt
    assert ("as its AudioInfo says" in doubt) == (info is not None)
    # What is given goes before what the bag says.
    told = BagSource(path, BagOptions(audio_format=AudioFormat("S16LE", 2, 44100)))
    heard = [event for event in told.events() if isinstance(event, Sound)]
    told.close()
    assert told.doubts == []
    assert sum(len(sound.samples) for sound in heard) == 88200
    assert {sound.rate_hz for sound in heard} == {44100}


def test_half_of_the_chunks_lost(tmp_path: Path) -> None:
    data = pcm(4.0, 16000)
    chunks = [data[i : i + 1024] for i in range(0, len(data), 2048)]
    source = BagSource(bytes_bag(tmp_path / "bag", chunks, 64_000_000))
    source.close()
    assert "0.5 times" in source.doubts[0] and "lost" in source.doubts[0]


def test_a_format_for_sound_that_says_its_own_is_refused(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", family="RawAudio")
    with pytest.raises(BagError, match="says the format of its sound; leave --audio-rate"):
        open_recording(path, audio_format=AudioFormat())


@pytest.mark.parametrize("info", [{"coding_format": "mp3"}, {"sample_format": "S17LE"},
                                  {"sample_rate": 0}, {"channels": 0}])
def test_an_info_of_no_use_names_the_bag_and_can_be_overruled(
    tmp_path: Path, info: dict[str, Any]
) -> None:
    data = pcm(2.0, 16000)
    chunks = [data[i : i + 3200] for i in range(0, len(data), 3200)]
    path = bytes_bag(tmp_path / "bag", chunks, TENTH, info)
    with pytest.raises(BagError, match="/audio") as caught:
        BagSource(path)
    assert str(path) in str(caught.value)
    assert len(answers(path, BagOptions(audio_format=AudioFormat()))) == 20
