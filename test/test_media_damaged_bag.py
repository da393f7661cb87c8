"""Loops, damage and odd files: what is whole in a bag is read as it is, and what helps is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_answers import START, TENTH, answers, lap
from media_files import BagMaker, lamp, tone, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode

from avs_ros.errors import AvsError, BagError, MediaError
from avs_ros.media.bag import BagSource
from avs_ros.media.opening import open_recording
from avs_ros.media.source import Frame, Sound


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
    with pytest.raises(BagError, match=r"no usable images on /camera.*not a JPEG") as caught:
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
    ("storage", "make", "name", "arguments"),
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
    tmp_path: Path, storage: str, make: Callable[[bytes], bytes], name: str, arguments: str
) -> None:
    folder = write_bag(tmp_path / "bag", storage)
    file = next(folder.glob("*.mcap" if storage == "mcap" else "*.db3"))
    path = tmp_path / name
    path.write_bytes(make(file.read_bytes()))
    with pytest.raises((BagError, MediaError), match=arguments.replace(".", r"\.")) as caught:
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
    for path, arguments in (
        (folder("parts", {"r_0.mcap": data, "r_1.mcap": data}), "ros2 bag reindex parts"),
        (folder("packed", {"z_0.db3.zstd": ZSTD}), "zstd -d z_0.db3.zstd"),
        (folder("nothing", {}), "no metadata.yaml and no storage file"),
        (folder("pulled", {"metadata.yaml": metadata, "bag.mcap": POINTER}), "git lfs pull"),
        (folder("half", {"metadata.yaml": metadata, "bag.mcap": cut(data)}), "mcap recover"),
        (folder("renamed", {"metadata.yaml": metadata, "mine.mcap": data}), "reindex renamed"),
        (folder("odd", {"metadata.yaml": b": - {", "bag.mcap": data}), "reindex odd"),
    ):
        with pytest.raises((BagError, MediaError), match=arguments):
            open_recording(path)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_damage_anywhere_gives_a_bag_or_one_message(tmp_path: Path, storage: str) -> None:
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
