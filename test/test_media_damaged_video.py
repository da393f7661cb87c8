"""Damaged, mirrored, joined and oddly named films: what is whole in them is read as it is."""

from __future__ import annotations

import itertools
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_files import tone

from avs_ros.errors import MediaError
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound
from avs_ros.media.video import START_NS, VideoSource
from avs_ros.media.video_writer import VideoWriter
from avs_ros.streaming.findings import Facts

FPS, RATE = 10, 16000


def images(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Images without repetition, uint8 RGB, so that a packet of each holds much."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def film(
    path: Path, seconds: float = 3.0, video: str = "mjpeg", audio: str = "ac3",
    shown: list[np.ndarray] | None = None, metadata: dict[str, str] | None = None,
) -> Path:
    """Every image coded alone (or as ``video`` does it), and a tone with noise."""
    shown = images(round(seconds * FPS)) if shown is None else shown
    rng = np.random.default_rng(2)
    samples = tone(seconds, RATE) + rng.normal(0, 0.05, round(seconds * RATE)).astype(np.float32)
    if audio == "ac3":
        samples = np.interp(np.arange(round(seconds * 32000)) / 32000,
                            np.arange(len(samples)) / RATE, samples).astype(np.float32)
    rate = 32000 if audio == "ac3" else RATE
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        picture = container.add_stream(video, rate=FPS)
        picture.height, picture.width = shown[0].shape[:2]
        picture.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
        if video != "mjpeg":
            picture.codec_context.gop_size = 1
        sound = container.add_stream(audio, rate=rate, layout="mono")
        packets: list[tuple[float, Any]] = []
        for first in range(0, len(samples), 1024):
            block = samples[first : first + 1024]
            if audio == "pcm_s16le":
                block, form = np.round(block * 32767).clip(-32768, 32767).astype(np.int16), "s16"
            else:
                form = "fltp"
            frame = av.AudioFrame.from_ndarray(block[None], format=form, layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            packets += [(first / rate, one) for one in sound.encode(frame)]
        packets += [(seconds, one) for one in sound.encode(None)]
        for index, rgb in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            packets += [(index / FPS, one) for one in picture.encode(frame)]
        packets += [(seconds, one) for one in picture.encode(None)]
        for _, packet in sorted(packets, key=lambda one: one[0]):
            container.mux(packet)
    return path


def walk(path: Path) -> tuple[VideoSource, dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Source, and by stamp in ms its images and its sound."""
    source = VideoSource(path)
    shown, heard = {}, {}
    for event in source.events():
        if isinstance(event, Frame):
            shown[round((event.stamp_ns - START_NS) / 1e6)] = event.decode()
        else:
            heard[round((event.stamp_ns - START_NS) / 1e6)] = event.samples
    return source, shown, heard


def places(path: Path, kind: str) -> list[tuple[int, int]]:
    """Position and size of the packets of picture or sound in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
        return [(one.pos, one.size) for one in container.demux(stream) if one.size]


def damage(path: Path, spot: tuple[int, int], rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[spot[0] : spot[0] + spot[1]] = rng.bytes(spot[1])
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("audio", ["ac3", "aac", "mp2"])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_packets_of_sound_cost_only_themselves(
    tmp_path: Path, audio: str, seed: int
) -> None:
    path = film(tmp_path / "v.mov", audio=audio)
    rng = np.random.default_rng(seed)
    _, shown, heard = walk(path)
    spots = places(path, "audio")
    chosen = sorted(rng.choice(np.arange(4, len(spots) - 4), 3, replace=False))
    times = sorted(heard)
    for number in chosen:
        damage(path, spots[number], rng)
    _, still_shown, still_heard = walk(path)
    assert list(still_shown) == list(shown)
    step = float(np.median(np.diff(times)))
    bad = [times[0] + number * step for number in chosen]
    # A codec's blocks overlap with those beside them.
    whole = [t for t in times if all(abs(t - spoilt) > 3.5 * step for spoilt in bad)]
    assert len(whole) > len(times) // 3
    for time in whole:
        # Some decoders add a little noise of their own, in the order of decoding.
        full = 32768 if heard[time].dtype == np.int16 else 1
        assert np.abs(still_heard[time].astype(float) - heard[time]).max() < 0.01 * full, time
    # What is missing is filled or a gap, and the end is where it was.
    assert max(still_heard) == max(heard)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_packets_of_the_picture_cost_only_themselves(tmp_path: Path, seed: int) -> None:
    path = film(tmp_path / "v.mov")
    rng = np.random.default_rng(seed)
    _, shown, heard = walk(path)
    spots = places(path, "video")
    chosen = rng.choice(np.arange(1, len(spots)), 4, replace=False)
    for number in chosen:
        damage(path, spots[number], rng)
    source, still_shown, still_heard = walk(path)
    assert source.counters["broken_packets"] == 4
    facts = Facts()
    source.tell(facts)
    assert facts.packets == len(spots) + len(places(path, "audio"))
    for number, time in enumerate(sorted(shown)):
        if number not in chosen:
            assert np.array_equal(still_shown[time], shown[time])
    assert all(np.array_equal(still_heard[time], heard[time]) for time in heard)


def test_repeated_images_do_not_end_the_stream() -> None:
    """Theora says "as before" with a packet of 0 bytes, which decoders take for the end.

    The file: 2 s of ten images, shown at 25 Hz (ffmpeg's testsrc at 5 Hz, ``-vf fps=25``).
    """
    source, shown, heard = walk(Path(__file__).parent / "data" / "repeated_images.ogv")
    assert source.counters["empty_packets"] + len(shown) >= 49
    assert source.counters["broken_packets"] == 0
    assert min(shown) == 0 and max(shown) >= 1800
    steps = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(shown.values())]
    assert sum(step > 1 for step in steps) >= 9
    assert max(heard) > 1900


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".mov"])
def test_damage_anywhere_gives_a_film_or_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"whole{suffix}", 1.0, "mpeg4", "mp2")
    data = path.read_bytes()
    rng = np.random.default_rng(7)
    read = 0
    for _ in range(25):
        spoilt = bytearray(data)
        kind = rng.integers(3)
        at = int(rng.integers(len(data)))
        if kind == 0:
            spoilt = spoilt[:at]
        elif kind == 1:
            for place in rng.integers(0, len(data), 20):
                spoilt[place] ^= 1 << rng.integers(8)
        else:
            length = int(rng.integers(1, 400))
            spoilt[at : at + length] = rng.bytes(min(length, len(spoilt) - at))
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(bytes(spoilt))
        try:
            _, shown, _ = walk(broken)
        except MediaError as error:
            assert "\n" not in str(error)
            continue
        read += 1
        assert list(shown) == sorted(shown)
    assert read >= 5


@pytest.mark.parametrize("seed", range(3))
def test_a_film_that_was_cut_short_gives_its_beginning(tmp_path: Path, seed: int) -> None:
    path = film(tmp_path / "v.mkv", 2.0)
    _, shown, heard = walk(path)
    data = path.read_bytes()
    cut = tmp_path / "cut.mkv"
    share = np.random.default_rng(seed).uniform(0.3, 0.9)
    cut.write_bytes(data[: round(share * len(data))])
    _, begun, sound = walk(cut)
    assert len(begun) == pytest.approx(share * len(shown), abs=3)
    assert all(np.array_equal(begun[time], shown[time]) for time in list(begun)[:-1])
    assert all(np.array_equal(sound[time], heard[time]) for time in list(sound)[:-2])


MATRICES = {
    # (x, y) -> (a x + c y, b x + d y), y downwards: all ways to lay a picture on itself
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
        picture = container.add_stream("mpeg2video", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("mp2", rate=RATE, layout="mono")
        loud = tone(1.2, on=(0.4, 0.8))
        for index, rgb in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(picture.encode(frame))
            block = loud[index * 640 : (index + 1) * 640]
            heard = av.AudioFrame.from_ndarray(
                np.round(block * 32767).astype(np.int16)[None], format="s16p", layout="mono")
            heard.sample_rate, heard.pts = RATE, index * 640
            heard.time_base = Fraction(1, RATE)
            container.mux(sound.encode(heard))
        container.mux(picture.encode(None))
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
