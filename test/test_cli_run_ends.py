"""Runs of ``avs run`` that are refused, break or are interrupted: whole files and one message."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import av
import cv2
import pytest
from media_files import SECOND, BagMaker, lamp, tone, write_bag, write_video
from rosbags.highlevel import AnyReader
from run_command import avs, start
from run_here import records, run

from avs_ros.cli import main as entry


def test_a_bag_that_breaks_in_the_middle_leaves_whole_files_and_no_report(
    tmp_path: Path,
) -> None:
    bag = BagMaker(tmp_path / "bag")
    for i in range(40):
        ns = SECOND + i * SECOND // 10
        bag.image(ns, lamp(320, 240))
        bag.raw_audio(ns, tone(0.1))
    file = next(bag.close().glob("*.mcap"))
    data = bytearray(file.read_bytes())
    # Records of an mcap: one byte of kind, eight of length. A wrong checksum for the third chunk.
    at, chunks = 8, []
    while at < len(data) - 8:
        if data[at] == 6:
            chunks.append(at)
        at += 9 + int.from_bytes(data[at + 1 : at + 9], "little")
    data[chunks[2] + 33 : chunks[2] + 37] = b"\x01\x02\x03\x04"
    file.write_bytes(bytes(data))
    status, _, err = run(tmp_path / "bag", "-o", tmp_path / "out")
    assert status == 2
    assert "broken in the middle" in err
    assert err.count("\n") == 1
    count = len(records(tmp_path / "out"))
    assert 0 < count < 40
    assert not (tmp_path / "out" / "report.html").exists()
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count
    with AnyReader([tmp_path / "out" / "output.mcap"]) as reader:
        assert reader.topics["/segmentation_node/mask"].msgcount == count


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda p: p / "none.mp4", (), "no such file"),
        (lambda p: (p / "e.mp4").write_bytes(b"") or p / "e.mp4", (), "empty"),
        (lambda p: (p / "b.mp4").write_bytes(b"x" * 5000) and p / "b.mp4", (), "not a video"),
        (lambda p: write_video(p / "s.mp4", 0.5, sound=False), (), "no sound stream"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--fps", "0"), "--fps is 0"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--threshold", "7"), "threshold is 7"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--start", "9"), "no frame in the part"),
        (lambda p: write_video(p / "v.mp4", 0.5), ("--image", "/camera"), "has no topics"),
        (lambda p: write_bag(p / "bag", seconds=0.5), ("--image", "/x"), "/x is not in the bag"),
        (lambda p: p, (), "not a rosbag2"),
    ],
)
def test_bad_input_is_one_message_and_status_2(
    tmp_path: Path, make: object, arguments: tuple[str, ...], message: str
) -> None:
    assert callable(make)
    path = make(tmp_path)
    status, out, err = run(path, "-o", tmp_path / "out", *arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.startswith("avs run: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out" / "report.html").exists()


def test_what_cannot_be_loaded_is_one_message_and_the_process_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "lamp.mp4", 0.5)
    words = ["run", str(video), "-o", str(tmp_path / "out")]
    # As a command: nothing that was begun keeps the process from ending.
    done = avs(*words, "--engine", "nonsense")
    ends = {"unknown engine 'nonsense'; known: auto": (done.returncode, done.stderr)}
    for model, message in (
        ("nonsense", "unknown model 'nonsense'; known: c3n_light"),
        ("missing.safetensors", "missing.safetensors does not exist"),
    ):
        status = entry.main([*words, "--model", model])
        ends[message] = (status, capsys.readouterr().err)
    for message, (status, said) in ends.items():
        assert status == 2
        assert message in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_live_without_devices_says_what_is_missing() -> None:
    if cv2.VideoCapture(0).isOpened():
        pytest.skip("there is a camera here")
    done = avs("run", "live")
    assert done.returncode == 2
    assert done.stderr.startswith("avs run: no image from camera 0")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_in_the_middle_every_file_is_whole(
    tmp_path: Path, signum: signal.Signals, expected: int
) -> None:
    video = write_video(tmp_path / "long.mp4", 30.0, fps=20)
    folder = tmp_path / "out"
    process = start("run", video, "-o", folder, "--slow")
    results = folder / "results.jsonl"
    deadline = time.monotonic() + 60
    while not (results.exists() and results.read_text().count("\n") >= 6):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert "interrupted after" in err
    lines = records(folder)
    assert 5 <= len(lines) < 600
    with av.open(str(folder / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(lines)
    with AnyReader([folder / "output.mcap"]) as reader:
        assert reader.topics["/segmentation_node/mask"].msgcount == len(lines)
    assert len(list((folder / "masks").iterdir())) == len(lines)
    assert "Interrupted" in (folder / "report.html").read_text()


def test_a_name_that_begins_with_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "-ABc.mp4", 0.5)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        entry.main(["run", "-ABc.mp4"])
    assert "write ./-ABc.mp4" in capsys.readouterr().err
    assert run("./-ABc.mp4", "-o", tmp_path / "out")[0] == 0
    with pytest.raises(SystemExit):
        entry.main(["run", "-nothing.mp4"])
    assert "./-nothing" not in capsys.readouterr().err
