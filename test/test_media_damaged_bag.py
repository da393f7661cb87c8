"""Loops, damage and odd files: what is whole in a bag is read as it is, and what helps is said."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import BrightnessSegmenter
from media_files import SECOND, BagMaker, lamp, tone, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode

from avs_ros.conversions import AudioFormat
from avs_ros.errors import AvsError, BagError, MediaError
from avs_ros.evaluation.bag_making import convert_recording
from avs_ros.media.bag import BagOptions, BagSource
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound, merge
from avs_ros.streaming import Pipeline
from avs_ros.streaming.findings import Facts, explain

START = 1_700_000_000 * SECOND
TENTH = SECOND // 10


def answers(path: Path, options: BagOptions | None = None) -> list[tuple[int, float, float, bool]]:
    """(stamp, coverage, level, whether something is marked) of every frame through a pipeline."""
    source = BagSource(path, options)
    pipeline = Pipeline(BrightnessSegmenter())
    found = [
        (pair.stamp_ns, pair.coverage, round(pair.level_dbfs, 3), answer.sounding)
        for answer, pair in pipeline.run(source.events())
    ]
    source.close()
    return found


def lap(bag: BagMaker, number: int, seconds: float = 3.0, *, late: float = 0.0,
        sound_s: float | None = None) -> None:
    """One lap of a loop: the same stamps, recorded later; sound ``late`` seconds after images."""
    sound = tone(seconds, on=(0.7, 1.9))
    for i in range(round(seconds * 10)):
        at = START + i * TENTH
        recorded = at + round(number * seconds * SECOND)
        bag.image(at, lamp(lit=i % 7 != 0), recorded_ns=recorded)
        if sound_s is None or i * 0.1 < sound_s:
            bag.raw_audio(at, sound[i * 1600 : (i + 1) * 1600],
                          recorded_ns=recorded + TENTH + round(late * SECOND))


@pytest.mark.parametrize("late", [0.0, 0.45, -0.3])
def test_every_lap_of_a_loop_has_the_same_answers(tmp_path: Path, late: float) -> None:
    """Whichever stream's stamps jump back first."""
    bag = BagMaker(tmp_path / "bag")
    for number in range(3):
        lap(bag, number, late=late)
    found = answers(bag.close())
    assert len(found) == 90
    first, second, third = found[:30], found[30:60], found[60:]
    assert first == second == third
    assert any(sounding for *_, sounding in first)
    assert not first[3][3] and not first[29][3]


def test_sound_that_ends_early_in_each_lap(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for number in range(2):
        lap(bag, number, 4.0, sound_s=1.0)
    found = answers(bag.close())
    assert len(found) == 80
    assert found[:40] == found[40:]
    assert found[9][1] > 0.8 and found[39][1] == 0


def events_of(stamps: list[tuple[str, float, float]]) -> list[Frame | Sound]:
    """merge() over (kind, stamp, recorded) in seconds; sound in pieces of 0.1 s."""
    piece = np.zeros(1600, np.float32)
    frames = [(Frame(round(s * 1e9), 0, lamp), round(r * 1e9))
              for kind, s, r in stamps if kind == "frame"]
    sounds = [(Sound(round(s * 1e9), piece, 16000), round(r * 1e9))
              for kind, s, r in stamps if kind == "sound"]
    return list(merge(iter(frames), iter(sounds)))


@pytest.mark.parametrize("which", ["frame", "sound"])
def test_if_one_stream_alone_jumps_the_other_goes_on(which: str) -> None:
    stamps = []
    for i in range(100):
        t = 10 + i / 10
        for kind in ("frame", "sound"):
            stamps.append((kind, t - (5 if kind == which and i >= 50 else 0), t))
    merged = events_of(stamps)
    assert len(merged) == 200
    order = [(type(event).__name__, round(event.stamp_ns / 1e9, 1)) for event in merged]
    for kind in ("Frame", "Sound"):
        assert [t for name, t in order if name == kind] == [
            round(s, 1) for k, s, _ in stamps if k == kind.lower()]
    # Neither waits in memory for the end of the other.
    position = {kind: np.array([n for n, (name, _) in enumerate(order) if name == kind])
                for kind in ("Frame", "Sound")}
    assert np.abs(position["Frame"] - position["Sound"])[:45].max() < 10


@pytest.mark.parametrize("seed", range(5))
def test_loops_of_any_length_pair_every_lap_alike(seed: int) -> None:
    """Random lengths, rates, delays of recording: a frame's sound is that of its own lap."""
    rng = np.random.default_rng(seed)
    stamps: list[tuple[str, float, float]] = []
    begin = 0.0
    lengths = rng.uniform(1.5, 6.0, 4)
    delay = {kind: rng.uniform(0, 0.8) for kind in ("frame", "sound")}
    for length in lengths:
        for t in np.arange(0, length, rng.uniform(0.03, 0.3)):
            stamps.append(("frame", 100 + t, begin + t + delay["frame"]))
        for t in np.arange(0, length, 0.1):
            stamps.append(("sound", 100 + t, begin + t + 0.1 + delay["sound"]))
        begin += length
    merged = events_of(sorted(stamps, key=lambda one: one[2]))
    frame_lap = sound_lap = 0
    last: dict[type, float] = {}
    heard = 0.0
    for event in merged:
        jumped = type(event) in last and event.stamp_ns < last[type(event)] - 500_000_000
        last[type(event)] = event.stamp_ns
        if isinstance(event, Sound):
            sound_lap += jumped
            heard = event.end_ns if jumped else max(heard, event.end_ns)
        else:
            frame_lap += jumped
            assert sound_lap == frame_lap
            # All the lap's sound up to the frame, or the lap's end.
            length = lengths[frame_lap]
            assert heard >= min(event.stamp_ns, round((100 + length) * 1e9) - 100_000_000)
    assert frame_lap == sound_lap == 3


@pytest.mark.parametrize("seed", range(4))
def test_messages_recorded_in_another_order_than_stamped(tmp_path: Path, seed: int) -> None:
    """Each up to 0.24 s late, in two laps of a loop."""
    rng = np.random.default_rng(seed)
    bags = {name: BagMaker(tmp_path / name) for name in ("shuffled", "whole")}
    sound = tone(3.0, on=(0.7, 1.9))
    for number in range(2):
        for i in range(30):
            at = START + i * TENTH
            recorded = at + number * 4 * SECOND
            for name, bag in bags.items():
                late = [int(rng.integers(0, 240_000_000)) if name == "shuffled" else 0
                        for _ in range(2)]
                bag.image(at, lamp(lit=i % 7 != 0), recorded_ns=recorded + late[0])
                bag.raw_audio(at, sound[i * 1600 : (i + 1) * 1600],
                              recorded_ns=recorded + TENTH + late[1])
    shuffled, whole = (answers(bag.close()) for bag in bags.values())
    assert len(whole) == 60
    assert shuffled == whole


def test_a_loop_is_converted_into_one_line_of_time(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag")
    for number in range(2):
        lap(bag, number)
    source = BagSource(bag.close())
    counts = convert_recording(source, tmp_path / "out.mcap")
    source.close()
    assert counts["frames"] == 60
    made = BagSource(tmp_path / "out.mcap")
    stamps = [event.stamp_ns for event in made.events() if isinstance(event, Frame)]
    sounds = sum(c.msgcount for c in made.connections() if c.topic == "/audio")
    made.close()
    assert counts["sounds"] == sounds
    assert np.diff(stamps) == pytest.approx(TENTH, abs=TENTH)
    found = answers(tmp_path / "out.mcap")
    assert [one[3] for one in found[15:30]] == [one[3] for one in found[45:]]


def compressed_bag(path: Path, bad: set[int], make: Callable[[bytes], bytes]) -> Path:
    bag = BagMaker(path)
    good = cv2.imencode(".jpg", lamp()[..., ::-1])[1].tobytes()
    for i in range(12):
        bag.compressed(START + i * TENTH, make(good) if i in bad else good)
        bag.raw_audio(START + i * TENTH, tone(0.1))
    return bag.close()


@pytest.mark.parametrize("bad", [{0}, {0, 1, 2}, {5}, {11}, {0, 7}])
@pytest.mark.parametrize("make", [lambda good: bytes(2000), lambda good: b"\xff\xd8" + good[9:],
                                  lambda good: good[:300], lambda good: b""])
def test_an_image_that_is_none_costs_only_itself_wherever_it_is(
    tmp_path: Path, bad: set[int], make: Callable[[bytes], bytes]
) -> None:
    found = answers(compressed_bag(tmp_path / "bag", bad, make))
    whole = answers(compressed_bag(tmp_path / "whole", set(), make))
    assert found == [one for i, one in enumerate(whole) if i not in bad]


def test_a_bag_without_any_image_that_can_be_read_says_why(tmp_path: Path) -> None:
    path = compressed_bag(tmp_path / "bag", set(range(12)), lambda good: bytes(50))
    with pytest.raises(BagError, match=r"no usable pictures on /camera.*not a JPEG") as caught:
        BagSource(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_cost_only_themselves(tmp_path: Path, seed: int) -> None:
    """Serialised messages that were cut at random places."""
    rng = np.random.default_rng(seed)
    bad = {kind: set(rng.choice(np.arange(1, 30), 4, replace=False)) for kind in (Frame, Sound)}
    bag = BagMaker(tmp_path / "bag")
    for i in range(30):
        at = START + i * TENTH
        for kind, topic, write, what in (
            (Sound, "/audio", bag.raw_audio, tone(0.1)),
            (Frame, "/camera/image_raw", bag.image, lamp()),
        ):
            if i in bad[kind]:
                bag.damaged(topic, b"\0\1\0\0" + rng.bytes(int(rng.integers(0, 60))), at)
            else:
                write(at, what)
    source = BagSource(bag.close())
    events = list(source.events())
    source.close()
    for kind in (Frame, Sound):
        assert [event.stamp_ns for event in events if isinstance(event, kind)] == [
            START + i * TENTH for i in range(30) if i not in bad[kind]]
    assert source.counters["malformed_images"] == source.counters["malformed_sounds"] == 4


# ---------------------------------------------------------------------- files and what helps


def test_messages_compressed_one_by_one_need_no_metadata(tmp_path: Path) -> None:
    bag = BagMaker(tmp_path / "bag", "sqlite3",
                   compression=(CompressionMode.MESSAGE, CompressionFormat.ZSTD))
    lap(bag, 0)
    folder = bag.close()
    alone = shutil.copy(next(folder.glob("*.db3")), tmp_path / "alone.db3")
    assert answers(Path(alone)) == answers(folder)
    assert len(answers(folder)) == 30


def test_names_in_any_case_and_without_suffix(tmp_path: Path) -> None:
    file = next(write_bag(tmp_path / "bag").glob("*.mcap"))
    expected = answers(file)
    for name in ("UPPER.MCAP", "Mixed.Mcap", "recording", "odd.video"):
        assert answers(Path(shutil.copy(file, tmp_path / name))) == expected
        source = open_recording(tmp_path / name)
        assert isinstance(source, BagSource)
        source.close()


def cut(data: bytes) -> bytes:
    return data[: len(data) * 7 // 10]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
ZSTD = b"\x28\xb5\x2f\xfd" + bytes(40)


@pytest.mark.parametrize(
    ("storage", "make", "name", "words"),
    [
        ("mcap", cut, "killed.mcap", "`mcap recover killed.mcap"),
        ("mcap", cut, "KILLED.MCAP", "`mcap recover KILLED.MCAP"),
        ("mcap", lambda data: data[:100], "begun.mcap", "mcap recover"),
        ("mcap", lambda data: b"", "empty.mcap", "is empty"),
        ("mcap", lambda data: POINTER, "pointer.mcap", "git lfs pull"),
        ("mcap", lambda data: POINTER, "pointer.db3", "git lfs pull"),
        ("sqlite3", cut, "killed.db3", "sqlite3 killed.db3 .recover"),
        ("sqlite3", lambda data: data[:50], "begun.db3", "sqlite3 begun.db3 .recover"),
        ("mcap", lambda data: ZSTD, "lone.db3.zstd", "zstd -d lone.db3.zstd"),
        ("mcap", lambda data: ZSTD, "lone.mcap.zstd", "zstd -d lone.mcap.zstd"),
        ("mcap", lambda data: b"#ROSBAG V2.0\n" + bytes(50), "old.bag", "rosbags-convert"),
        ("mcap", lambda data: b"#ROSBAG V2.0\n" + bytes(50), "old.mcap", "rosbags-convert"),
    ],
)
def test_a_file_that_cannot_be_read_says_what_helps(
    tmp_path: Path, storage: str, make: Callable[[bytes], bytes], name: str, words: str
) -> None:
    folder = write_bag(tmp_path / "bag", storage)
    file = next(folder.glob("*.mcap" if storage == "mcap" else "*.db3"))
    path = tmp_path / name
    path.write_bytes(make(file.read_bytes()))
    with pytest.raises((BagError, MediaError), match=words.replace(".", r"\.")) as caught:
        source = open_recording(path)
        list(source.events())  # a cut sqlite file may show it only on the way
    assert "reindex" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_cannot_be_read_say_what_helps(tmp_path: Path) -> None:
    data = next(write_bag(tmp_path / "bag").glob("*.mcap")).read_bytes()

    def folder(name: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / name
        path.mkdir()
        for file, content in files.items():
            (path / file).write_bytes(content)
        return path

    metadata = (tmp_path / "bag" / "metadata.yaml").read_bytes()
    for path, words in (
        (folder("parts", {"r_0.mcap": data, "r_1.mcap": data}), "ros2 bag reindex parts"),
        (folder("packed", {"z_0.db3.zstd": ZSTD}), "zstd -d z_0.db3.zstd"),
        (folder("nothing", {}), "no metadata.yaml and no storage file"),
        (folder("pulled", {"metadata.yaml": metadata, "bag.mcap": POINTER}), "git lfs pull"),
        (folder("half", {"metadata.yaml": metadata, "bag.mcap": cut(data)}), "mcap recover"),
        (folder("renamed", {"metadata.yaml": metadata, "mine.mcap": data}), "reindex renamed"),
        (folder("odd", {"metadata.yaml": b": - {", "bag.mcap": data}), "reindex odd"),
    ):
        with pytest.raises((BagError, MediaError), match=words):
            open_recording(path)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_damage_anywhere_gives_a_bag_or_one_sentence(tmp_path: Path, storage: str) -> None:
    file = next(write_bag(tmp_path / "bag", storage).glob("bag*"))
    data = file.read_bytes()
    rng = np.random.default_rng(9)
    read = 0
    for _ in range(25):
        spoilt = bytearray(data)
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 200))
        if rng.random() < 0.3:
            spoilt = spoilt[:at]
        else:
            spoilt[at : at + length] = rng.bytes(min(length, len(spoilt) - at))
        path = tmp_path / f"broken{file.suffix}"
        path.write_bytes(bytes(spoilt))
        try:
            source = open_recording(path)
            for event in source.events():
                if isinstance(event, Frame):
                    try:
                        event.decode()
                    except AvsError:
                        continue
            read += 1
        except AvsError as error:
            assert "\n" not in str(error)
    assert read > 0


# ---------------------------------------------------------------------- clocks


def apart(tmp_path: Path, seconds: float) -> BagSource:
    bag = BagMaker(tmp_path / f"bag{seconds}")
    for i in range(50):
        recorded = START + i * TENTH
        bag.image(recorded + round(seconds * SECOND), lamp(), recorded_ns=recorded)
        bag.raw_audio(recorded - TENTH, tone(0.1), recorded_ns=recorded)
    return BagSource(bag.close())


@pytest.mark.parametrize(("seconds", "words"), [(37.0, "37.0 s ahead of .* TAI"),
                                                (-5.0, "5.0 s behind"), (3.0, "3.0 s ahead")])
def test_clocks_that_disagree_are_told(tmp_path: Path, seconds: float, words: str) -> None:
    source = apart(tmp_path, seconds)
    list(source.events())
    facts = Facts()
    source.tell(facts)
    source.close()
    assert facts.clocks_apart_s == pytest.approx(seconds, abs=0.2)
    (sentence,) = explain(facts)
    assert "--stamps bag" in sentence
    assert re.search(words, sentence)


def test_clocks_that_agree_are_not(tmp_path: Path) -> None:
    source = apart(tmp_path, -0.3)
    list(source.events())
    facts = Facts()
    source.tell(facts)
    source.close()
    assert explain(facts) == []


# ---------------------------------------------------------------------- sound without a format


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


def test_clocks_that_are_set_while_recording(tmp_path: Path) -> None:
    """A robot that starts in 1970: both streams step ahead by decades; each part has its sound."""
    bag = BagMaker(tmp_path / "bag")
    for i in range(40):
        recorded = START + i * TENTH
        at = recorded if i >= 20 else recorded - START + 100 * SECOND
        bag.image(at, lamp(), recorded_ns=recorded)
        bag.raw_audio(at, tone(0.1), recorded_ns=recorded)
    found = answers(bag.close(), BagOptions())
    assert len(found) == 40
    assert [one[3] for one in found[:20]] == [one[3] for one in found[20:]]
    assert found[-1][1] > 0.9
