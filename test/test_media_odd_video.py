"""Mirrored, joined and oddly named films are read as they are meant."""

from __future__ import annotations

import itertools
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from coded_films import FPS, RATE, film, images, walk
from media_files import tone

from avs_ros.errors import MediaError
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound
from avs_ros.media.video import VideoSource
from avs_ros.media.video_writer import VideoWriter

MATRICES = {
    # (x, y) -> (a x + c y, b x + d y), y downwards: all ways to lay an image on itself
    "upright": (1, 0, 0, 1), "mirrored": (-1, 0, 0, 1), "upside down": (-1, 0, 0, -1),
    "flipped": (1, 0, 0, -1), "right": (0, 1, -1, 0), "left": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0), "other diagonal": (0, -1, -1, 0),
}


@pytest.mark.parametrize("name", MATRICES)
def test_all_eight_display_matrices(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    stored = np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
    path = film(tmp_path / "v.mov", 0.5, shown=[stored] * 5)
    a, b, c, d = MATRICES[name]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(
        ">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
    # Pixel by pixel, by the standard's formula.
    height, width = stored.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    to_x, to_y = a * x + c * y, b * x + d * y
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    expected = np.zeros((to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    expected[to_y, to_x] = stored
    source = VideoSource(path)
    frame = next(event for event in source.events() if isinstance(event, Frame))
    seen = frame.decode()
    assert seen.shape == expected.shape
    assert (source.info.height, source.info.width) == expected.shape[:2]
    assert np.abs(seen.astype(int) - expected).mean() < 12
    others = [np.rot90(expected, 2), expected[::-1], expected[:, ::-1]]
    assert all(np.abs(seen.astype(int) - other).mean() > 30 for other in others)
    source.close()


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    path = film(tmp_path / "v.avi", 1.0, metadata={"title": "cafXX dXXmo"})
    path.write_bytes(path.read_bytes().replace(b"cafXX dXXmo", b"caf\xe9\xe9 d\xe9\xe9mo"))
    assert len(walk(path)[1]) == 10


@pytest.mark.parametrize("name", ["2024-11-14T22:57:44.mov", "a: b.mov", "-A B.mov", "100%d.mov"])
def test_any_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    film(tmp_path / "v.mov", 0.5)
    shutil.move(tmp_path / "v.mov", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), Path(".") / name, tmp_path / name):
        assert len(walk(path)[1]) == 5
    folder = tmp_path / "out: 1"
    folder.mkdir()
    writer = VideoWriter(folder / name, 64, 48)
    writer.frame(0, images(1)[0])
    writer.close()
    with av.open(f"file:{folder / name}") as container:
        assert container.streams.video[0].width == 64


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(images(1)[0], format="rgb24")
        container.mux(cover.encode(frame))
        container.mux(cover.encode(None))
        heard = av.AudioFrame.from_ndarray(tone(2.0)[None], format="fltp", layout="mono")
        heard.sample_rate = RATE
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
    with pytest.raises(MediaError, match="only a cover"):
        VideoSource(path)


def test_a_rate_that_the_file_does_not_know_is_taken_from_the_times(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mkv", 2.0)
    data = path.read_bytes()
    # DefaultDuration: 100 ms -> 1 ms, the container's clock.
    known = bytes.fromhex("23e383") + b"\x84" + struct.pack(">I", 100_000_000)
    assert known in data
    path.write_bytes(data.replace(known, known[:4] + struct.pack(">I", 1_000_000)))
    source = VideoSource(path)
    assert source.info.fps == pytest.approx(FPS, rel=0.02)
    assert source.info.frames == pytest.approx(20, abs=1)
    source.close()


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(2), Fraction(16, 15), Fraction(32, 27)])
def test_the_shape_of_pixels_is_kept(tmp_path: Path, aspect: Fraction) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", 64, 48, audio_rate_hz=RATE, pixel_aspect=aspect)
    for index, rgb in enumerate(images(5)):
        writer.frame(index * 100_000_000, rgb)
    writer.sound(0, tone(0.5), RATE)
    writer.close()
    source = VideoSource(tmp_path / "v.mp4")
    assert source.info.pixel_aspect == aspect
    assert (source.info.width, source.info.height) == (64, 48)
    source.close()


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_parts_of_a_joined_film_are_moved_as_a_whole(tmp_path: Path, suffix: str) -> None:
    """Sound begins with the bright image in each part: it still does after the joint."""
    shown = [np.full((48, 64, 3), 230 if 10 <= i < 20 else 20, np.uint8) for i in range(30)]
    path = tmp_path / f"part{suffix}"
    with av.open(str(path), "w") as container:
        image = container.add_stream("mpeg2video", rate=25)
        image.width, image.height, image.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("mp2", rate=RATE, layout="mono")
        loud = tone(1.2, on=(0.4, 0.8))
        for index, rgb in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(image.encode(frame))
            block = loud[index * 640 : (index + 1) * 640]
            heard = av.AudioFrame.from_ndarray(
                np.round(block * 32767).astype(np.int16)[None], format="s16p", layout="mono")
            heard.sample_rate, heard.pts = RATE, index * 640
            heard.time_base = Fraction(1, RATE)
            container.mux(sound.encode(heard))
        container.mux(image.encode(None))
        container.mux(sound.encode(None))
    joined = tmp_path / f"joined{suffix}"
    joined.write_bytes(path.read_bytes() * 2)
    source = VideoSource(joined)
    bright, loud_at, last, end = [], [], -1, 0
    for event in source.events():
        if isinstance(event, Frame):
            assert event.stamp_ns > last
            last = event.stamp_ns
            bright.append((event.stamp_ns, event.decode().mean() > 120))
        else:
            assert event.stamp_ns >= end - 60_000_000
            end = event.end_ns
            level = np.abs(event.samples.astype(float)).max() / 32768
            loud_at.append((event.stamp_ns, level > 0.2))
    assert source.counters["joined_parts"] == 1
    assert len(bright) >= 57
    rises = [b[0] for a, b in itertools.pairwise(bright) if b[1] and not a[1]]
    begins = [b[0] for a, b in itertools.pairwise(loud_at) if b[1] and not a[1]]
    assert len(rises) == len(begins) == 2
    for seen, heard_at in zip(rises, begins, strict=True):
        assert abs(seen - heard_at) < 90_000_000
    assert np.diff(rises) == pytest.approx(np.diff(begins), abs=45_000_000)


def test_what_stands_for_a_film_is_told_from_a_broken_one(tmp_path: Path) -> None:
    pointer = tmp_path / "v.mp4"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(MediaError, match="git lfs pull"):
        open_recording(pointer)


def test_the_film_of_a_loop_goes_on(tmp_path: Path) -> None:
    """Stamps of three laps of a second, sound first or images first: one film of three seconds."""
    writer = VideoWriter(tmp_path / "v.mp4", 64, 48, FPS, RATE)
    block = tone(0.1)
    for lap in range(3):
        for index in range(10):
            at = 50_000_000_000 + index * 100_000_000
            events = [lambda t=at: writer.sound(t, block, RATE),
                      lambda t=at, lit=index == 5: writer.frame(
                          t, np.full((48, 64, 3), 230 if lit else 20, np.uint8))]
            for event in events if lap % 2 else events[::-1]:
                event()
    writer.close()
    _, shown, heard = walk(tmp_path / "v.mp4")
    assert len(shown) == 30
    lit = [time for time, rgb in shown.items() if rgb.mean() > 120]
    assert np.diff(lit) == pytest.approx(1000, abs=110)
    assert sum(len(samples) for samples in heard.values()) == pytest.approx(3 * RATE, rel=0.05)


def test_events_are_frames_and_sounds(tmp_path: Path) -> None:
    source = VideoSource(film(tmp_path / "v.mov", 0.5))
    assert {type(event) for event in source.events()} == {Frame, Sound}
    source.close()
