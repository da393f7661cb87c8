"""The player: a video file and a bag as camera and microphone, in their own time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audio_families import PUBLISHED_TYPE, need
from node_graph import NodeGraph, tone

from avs_ros.conversions.audio import AUDIO_TYPES, make_audio, read_audio, read_audio_info
from avs_ros.conversions.camera import make_camera_info
from avs_ros.conversions.image_reading import image_to_rgb
from avs_ros.conversions.image_writing import make_image, rgb_to_compressed
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.errors import MediaError, MessageTypeError, ParameterError
from avs_ros.media.bag_types import BAG
from avs_ros.media.bag_writer import BagWriter
from avs_ros.media.video_writer import VideoWriter
from avs_ros.nodes.player_node import PlayerNode

IMAGE = "sensor_msgs/msg/Image"
FPS, SECONDS, RATE = 20, 1.0, 16000
START_S = 1_600_000_000


def image(number: int) -> np.ndarray:
    rgb = np.full((48, 64, 3), 16, np.uint8)
    rgb[:, : 2 + 2 * number] = 220
    return rgb


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("player") / "clip.mp4"
    writer = VideoWriter(path, 64, 48, FPS, RATE, 1)
    for number in range(round(FPS * SECONDS)):
        writer.frame(10**9 + number * 10**9 // FPS, image(number))
    writer.sound(10**9, tone(SECONDS), RATE)
    writer.close()
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compressed images, Foxglove's sound and a calibration, stamped in 2020."""
    path = tmp_path_factory.mktemp("player") / "drive.mcap"
    writer = BagWriter(path)
    writer.declare("/cam/image/compressed", "sensor_msgs/msg/CompressedImage")
    writer.declare("/cam/camera_info", "sensor_msgs/msg/CameraInfo")
    writer.declare("/mic", AUDIO_TYPES["RawAudio"])
    for number in range(10):
        stamp_ns = START_S * 10**9 + number * 10**9 // 10
        header = make_header(BAG, stamp_ns, "cam")
        writer.write("/mic", make_audio(BAG, "RawAudio", stamp_ns, tone(0.1), RATE), stamp_ns)
        compressed = rgb_to_compressed(BAG, header, image(number))
        writer.write("/cam/image/compressed", compressed, stamp_ns)
        writer.write("/cam/camera_info", make_camera_info(BAG, header, 64, 48, 0.7), stamp_ns)
    writer.close()
    return path


def play(
    graph: NodeGraph, path: Path, cli: list[str] | None = None, **parameters: Any
) -> Any:
    """A player; who listens in this process already is known to it at once."""
    return graph.add(
        PlayerNode, cli=cli,
        parameters={"input": str(path), "rate": 5.0, "wait_for_subscribers": 0.0, **parameters},
    )


def test_a_video_becomes_camera_microphone_and_clock(graph: NodeGraph, video: Path) -> None:
    images = graph.listen(IMAGE, "image")
    cameras = graph.listen("sensor_msgs/msg/CameraInfo", "camera_info")
    sounds = graph.listen(PUBLISHED_TYPE, "audio", 200)
    clocks = graph.listen("rosgraph_msgs/msg/Clock", "/clock", 1000)
    player = play(graph, video, start_stamp="1000.0", rate=2.0, audio_chunk=0.05)
    graph.wait(lambda: player.finished, "the end")
    graph.wait(lambda: len(images) == FPS * SECONDS, "every image")
    # Each topic comes at its own time: the last image may be there before the last sound.
    graph.wait(
        lambda: sum(len(read_audio(msg).samples) for msg in sounds) >= RATE * SECONDS,
        "all of the sound",
    )
    stamps = [stamp_to_ns(msg.header.stamp) for msg in images]
    assert stamps[0] == 1000 * 10**9
    assert np.allclose(np.diff(stamps), 1e9 / FPS, atol=1e6)
    assert images[0].header.frame_id == "camera_optical_frame"
    assert [stamp_to_ns(msg.header.stamp) for msg in cameras] == stamps
    assert (cameras[0].width, cameras[0].height) == (64, 48)
    for number in (0, 10, 19):
        shown = image_to_rgb(images[number])
        assert np.abs(shown.astype(int) - image(number)).mean() < 12
    chunks = [read_audio(msg) for msg in sounds]
    assert {chunk.rate_hz for chunk in chunks} == {RATE}
    assert all(len(chunk.samples) == 800 for chunk in chunks[:-1])
    heard = np.concatenate([chunk.samples for chunk in chunks])[:, 0] / 32768
    # Every sample stands where its time says: no gap, no overlap.
    ends = [chunk.stamp_ns + len(chunk.samples) * 10**9 // RATE for chunk in chunks]
    assert np.allclose(np.array(ends[:-1]), [chunk.stamp_ns for chunk in chunks[1:]], atol=1e6)
    assert np.sqrt(np.mean(heard[2000:-2000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    times = [stamp_to_ns(msg.clock) for msg in clocks]
    assert times == sorted(times) and 1000 * 10**9 <= times[0] <= times[-1]


def test_a_bag_keeps_its_stamps_and_its_calibration(graph: NodeGraph, bag: Path) -> None:
    images = graph.listen(IMAGE, "image")
    compressed = graph.listen("sensor_msgs/msg/CompressedImage", "image/compressed")
    cameras = graph.listen("sensor_msgs/msg/CameraInfo", "camera_info")
    sounds = graph.listen(AUDIO_TYPES["AudioStamped"], "audio", 200)
    player = play(
        graph, bag, start_stamp="recorded", image_type="both", audio_type="AudioStamped")
    graph.wait(lambda: player.finished and len(images) == len(compressed) == 10, "every image")
    assert [stamp_to_ns(msg.header.stamp) for msg in images] == [
        START_S * 10**9 + number * 10**8 for number in range(10)]
    expected = make_camera_info(BAG, make_header(BAG, 1), 64, 48, 0.7)
    assert list(cameras[0].k) == list(expected.k)
    graph.wait(lambda: sounds, "sound")
    first = read_audio(sounds[0])
    assert (first.stamp_ns, first.rate_hz) == (START_S * 10**9, RATE)


@pytest.mark.parametrize("audio_type", ["AudioDataStamped", "AudioData"])
def test_bare_sound_has_its_format_beside_it(
    graph: NodeGraph, bag: Path, audio_type: str
) -> None:
    need(audio_type)
    images = graph.listen(IMAGE, "image")
    sounds = graph.listen(AUDIO_TYPES[audio_type], "ears/sound", 200)
    infos = graph.listen("audio_common_msgs/msg/AudioInfo", "ears/audio_info")
    player = play(graph, bag, start_stamp="recorded", audio_type=audio_type,
                  cli=["--ros-args", "-r", "audio:=ears/sound"])
    graph.wait(lambda: player.finished and len(images) == 10 and infos, "everything")
    described = read_audio_info(infos[0])
    assert (described.rate, described.channels) == (RATE, 1)
    first = read_audio(sounds[0], described, START_S * 10**9)
    if audio_type == "AudioDataStamped":
        assert first.stamp_ns == START_S * 10**9
    assert len(first.samples) == 512


def test_what_belongs_to_the_image_is_remapped_with_it(graph: NodeGraph, bag: Path) -> None:
    cameras = graph.listen("sensor_msgs/msg/CameraInfo", "/cam/camera_info")
    images = graph.listen(IMAGE, "/cam/image_raw")
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    play(graph, bag, cli=["--ros-args", "-r", "image:=/cam/image_raw"])
    graph.wait(lambda: len(images) == len(cameras) == 10, "images and their calibration")
    assert not graph.tester.count_publishers("/camera_info")


@pytest.mark.parametrize("jumps", [False, True])
def test_a_loop_goes_on_or_jumps_back(graph: NodeGraph, bag: Path, jumps: bool) -> None:
    images = graph.listen(IMAGE, "image")
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    play(graph, bag, loop=True, loop_jumps_back=jumps, start_stamp="1000.0", rate=10.0)
    graph.wait(lambda: len(images) >= 25, "two and a half passes")
    stamps = [stamp_to_ns(msg.header.stamp) for msg in images]
    assert stamps[0] == 1000 * 10**9
    if jumps:
        assert stamps[10] == stamps[0] and stamps[20] == stamps[0]
    else:
        assert stamps == sorted(set(stamps))


def test_it_can_be_held(graph: NodeGraph, bag: Path) -> None:
    images = graph.listen(IMAGE, "image")
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    clocks = graph.listen("rosgraph_msgs/msg/Clock", "/clock", 1000)
    player = play(graph, bag, paused=True, start_stamp="1000.0")
    graph.wait(lambda: len(clocks) > 20, "the clock of a held playback")
    assert not images and {stamp_to_ns(msg.clock) for msg in clocks} == {1000 * 10**9}
    (result,) = graph.set_parameters("/player_node", paused=False)
    assert result.successful
    graph.wait(lambda: player.finished and len(images) == 10, "every image")


def test_nothing_starts_before_its_subscribers(graph: NodeGraph, bag: Path) -> None:
    player = play(graph, bag, wait_for_subscribers=600.0)
    clocks = graph.listen("rosgraph_msgs/msg/Clock", "/clock", 1000)
    graph.wait(lambda: len(clocks) > 5, "the clock")
    sounds = graph.listen(PUBLISHED_TYPE, "audio", 200)
    graph.set_parameters("/player_node", rate=4.0)
    assert not sounds and not player.finished
    images = graph.listen(IMAGE, "image")
    graph.wait(lambda: player.finished and len(images) == 10, "every image")


@pytest.mark.parametrize(
    ("parameters", "error"),
    [({"input": ""}, ParameterError), ({"input": "/nowhere/clip.mp4"}, MediaError),
     ({"start_stamp": "soon"}, ParameterError),
     ({"audio_type": "AudioDataStamped"}, MessageTypeError)])
def test_what_cannot_be_played_is_one_message(
    graph: NodeGraph, bag: Path, parameters: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        play(graph, bag, **parameters)
    assert "\n" not in str(caught.value)
    graph.wait(lambda: "player_node" not in graph.tester.get_node_names(), "a clean graph")


def test_main_plays_to_the_end_and_exits(graph: NodeGraph, video: Path) -> None:
    images = graph.listen(IMAGE, "image")
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    code = "import sys; from avs_ros.nodes.player_node import main; sys.exit(main(sys.argv))"
    done = subprocess.run(
        [sys.executable, "-c", code, "--ros-args", "-p", f"input:={video}", "-p", "rate:=5.0",
         "-p", "exit_when_done:=true", "-p", "wait_for_subscribers:=60.0"],
        stderr=subprocess.PIPE, timeout=200, env=os.environ, check=False,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr.decode()
    graph.wait(lambda: len(images) == FPS * SECONDS, "every image")


def test_the_image_published_is_the_image_read(graph: NodeGraph, bag: Path) -> None:
    images = graph.listen(IMAGE, "image")
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    play(graph, bag)
    graph.wait(lambda: len(images) == 10, "every image")
    sent = image_to_rgb(make_image(BAG, make_header(BAG, 1), image(9)))
    assert np.abs(image_to_rgb(images[9]).astype(int) - sent).mean() < 8


def test_now_is_when_it_begins_to_play(graph: NodeGraph, bag: Path) -> None:
    images = graph.listen(IMAGE, "image")
    begin_ns = time.time_ns()
    play(graph, bag, rate=1.0, wait_for_subscribers=600.0)
    graph.wait(lambda: graph.tester.count_publishers("audio"), "the player")
    later_ns = time.time_ns()
    graph.listen(PUBLISHED_TYPE, "audio", 200)
    graph.wait(lambda: images, "an image")
    assert begin_ns < later_ns <= stamp_to_ns(images[0].header.stamp) <= time.time_ns()
