"""Reading and writing video files, as real cameras and phones make them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from media_files import lamp, tone, write_video

from avs_ros.errors import MediaError
from avs_ros.media.source import Frame, Sound
from avs_ros.media.video import START_NS, VideoSource
from avs_ros.media.video_writer import VideoWriter


def read(path: Path) -> tuple[VideoSource, list[Frame], list[Sound]]:
    source = VideoSource(path)
    events = list(source.events())
    frames = [event for event in events if isinstance(event, Frame)]
    sounds = [event for event in events if isinstance(event, Sound)]
    return source, frames, sounds


def seconds(stamps: list[int]) -> list[float]:
    return [(stamp - START_NS) * 1e-9 for stamp in stamps]


def test_a_frame_comes_after_all_sound_up_to_it(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "v.mp4", 2.0))
    heard = 0
    frames = 0
    for event in source.events():
        if isinstance(event, Sound):
            heard = max(heard, event.end_ns)
        else:
            frames += 1
            assert heard >= event.stamp_ns
    assert frames == 20
    assert source.info.audio_rate_hz == 16000
    assert (source.info.width, source.info.height) == (96, 64)


def test_frames_keep_their_times_at_variable_rate(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.2, 0.21, 0.9, 1.3]
    _, frames, _ = read(write_video(tmp_path / "v.mp4", 1.5, times=times))
    assert seconds([frame.stamp_ns for frame in frames]) == pytest.approx(times, abs=2e-4)
    assert [frame.index for frame in frames] == list(range(6))


def test_sound_that_starts_late_keeps_its_offset(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", 1.0, codec="pcm_s16le", sample_format="s16",
                       sound_from=0.25)
    _, frames, sounds = read(path)
    assert seconds([frames[0].stamp_ns])[0] == pytest.approx(0.0, abs=1e-3)
    assert seconds([sounds[0].stamp_ns])[0] == pytest.approx(0.25, abs=1.5e-3)


def test_sound_that_starts_early_comes_first_and_stamps_stay_positive(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", 1.0, times=[0.5, 0.6, 0.7], codec="pcm_s16le",
                       sample_format="s16")
    _, frames, sounds = read(path)
    assert sounds[0].stamp_ns == START_NS
    assert seconds([frames[0].stamp_ns])[0] == pytest.approx(0.5, abs=1.5e-3)


@pytest.mark.parametrize(
    ("name", "codec", "sample_format", "layout"),
    [("v.mp4", "aac", "fltp", "stereo"), ("v.mkv", "pcm_s16le", "s16", "mono"),
     ("v.mkv", "pcm_s32le", "s32", "stereo"), ("v.mkv", "pcm_f32le", "flt", "mono"),
     ("v.avi", "pcm_u8", "u8", "stereo"), ("v.mkv", "flac", "s16", "stereo")],
)
def test_every_sample_format_gives_the_same_loudness(
    tmp_path: Path, name: str, codec: str, sample_format: str, layout: str
) -> None:
    path = write_video(tmp_path / name, 1.0, codec=codec, sample_format=sample_format,
                       layout=layout)
    source, _, sounds = read(path)
    assert source.info.audio_channels == (2 if layout == "stereo" else 1)
    scale = {"int16": 2**15, "int32": 2**31, "uint8": 128, "float32": 1}
    parts = []
    for sound in sounds:
        shift = 128 if sound.samples.dtype == np.uint8 else 0
        parts.append((sound.samples.astype(float) - shift) / scale[sound.samples.dtype.name])
    mono = np.concatenate(parts).mean(axis=1)[2000:14000]
    assert np.sqrt(np.mean(mono**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_a_rotated_phone_video_is_read_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 0.5)
    data = bytearray(path.read_bytes())
    # The display matrix of the first track's header: identity -> a quarter turn clockwise.
    at = data.index(b"tkhd") + 4 + 40
    arguments = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[at : at + 36] = b"".join(word.to_bytes(4, "big", signed=True) for word in arguments)
    path.write_bytes(bytes(data))
    source, frames, _ = read(path)
    assert (source.info.width, source.info.height) == (64, 96)
    upright = frames[0].decode()
    assert upright.shape == (96, 64, 3)
    # The lamp was at the right edge; turned clockwise it is at the bottom.
    assert upright[-20:, 20:44].mean() > 150 > 80 > upright[:40].mean()


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(b"this is not a video at all" * 99), "not a video"),
        (lambda p: p.write_bytes(write_video(p.with_name("w.mp4")).read_bytes()[:1500]),
         "cut short"),
        (lambda p: write_video(p, sound=False), "no sound stream"),
    ],
)
def test_a_bad_file_is_refused_in_one_message(
    tmp_path: Path, make: object, arguments: str
) -> None:
    path = tmp_path / "v.mp4"
    assert callable(make)
    make(path)
    with pytest.raises(MediaError, match=arguments) as caught:
        VideoSource(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sound_file_has_no_image(tmp_path: Path) -> None:
    path = tmp_path / "s.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            (tone(0.5) * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
    with pytest.raises(MediaError, match="no image stream"):
        VideoSource(path)


def test_a_written_video_keeps_times_sound_and_odd_sizes(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    writer = VideoWriter(path, 97, 65, 10, 22050, 1)
    sound = tone(1.5, 22050, on=(0.5, 1e9))
    start = 5_000_000_000
    for first in range(0, len(sound), 700):
        writer.sound(start + round(first * 1e9 / 22050), sound[first : first + 700], 22050)
    for i in range(12):
        writer.frame(start + 250_000_000 + i * 90_000_000, lamp(97, 65))
    writer.close()
    source, frames, sounds = read(path)
    assert (source.info.width, source.info.height) == (98, 66)
    stamps = np.diff([frame.stamp_ns for frame in frames])
    assert stamps == pytest.approx(90_000_000, abs=12_000)
    assert np.abs(frames[3].decode()[:64, :96].astype(int) - lamp(97, 65)[:64, :96]).mean() < 6
    # The film begins with the first frame, 0.25 s into the sound: the tone starts 0.25 s in.
    heard = np.concatenate([sound.samples for sound in sounds])[:, 0]
    begins = np.flatnonzero(np.abs(heard) > 0.1)[0] / 22050
    assert begins + (sounds[0].stamp_ns - frames[0].stamp_ns) * 1e-9 == pytest.approx(
        0.25, abs=0.01)


def test_gaps_in_the_sound_become_silence_and_overlaps_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    writer = VideoWriter(path, 64, 64, 10, 16000, 1)
    for i in range(10):
        writer.frame(i * 100_000_000, lamp(64, 64))
    block = np.full(3200, 0.5, np.float32) * np.sign(np.sin(np.arange(3200) / 6))
    writer.sound(0, block, 16000)
    writer.sound(100_000_000, block, 16000)  # half of it was heard already
    writer.sound(600_000_000, block, 16000)  # after a gap of 0.3 s
    writer.close()
    _, _, sounds = read(path)
    heard = np.concatenate([sound.samples for sound in sounds])[:, 0]
    loud = np.abs(heard) > 0.1
    assert loud[:4500].mean() > 0.9
    assert loud[5200:9200].mean() < 0.01
    assert loud[9900:12500].mean() > 0.9
    assert len(heard) == pytest.approx(12800, abs=1100)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nowhere"):
        VideoWriter(tmp_path / "nowhere" / "v.mp4", 64, 64)
