"""Every parameter of the player changes what is published, or when, or whether it ends.

``MOVES`` holds a scenario for each parameter; a parameter without one fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_files import SECOND, BagMaker, lamp, tone, write_video
from node_graph import NodeGraph
from node_programs import NodeProgram
from parameter_moves import Move, Moves, Observe, check_effect, check_names, check_steady

from avs_ros.conversions.audio import AUDIO_TYPES, read_audio
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.nodes.message_types import installed_audio_types, published_audio_type
from avs_ros.nodes.player_node import PlayerNode

# One worker has what is seen by default.
pytestmark = pytest.mark.xdist_group("effects_player")
NODE = "player_node"
FRAMES = 6
CLOCK = ("rosgraph_msgs/msg/Clock", "/clock")
WHILE = 60  # steps of the clock, 10 ms each: several times what playing takes
# With a header, so that there is a frame_id to tell.
HEADED = next(one for one in installed_audio_types() if one.endswith("Stamped"))
OTHER_TYPE = next(one for one in installed_audio_types() if one != published_audio_type("auto"))


def bag(path: Path) -> Path:
    """Two cameras and two microphones."""
    maker = BagMaker(path)
    for number in range(FRAMES):
        at = 100 * SECOND + number * SECOND // 10
        for topic, width in (("/image", 96), ("/second/image", 48)):
            maker.image(at, lamp(width, 32), topic=topic)
        for topic, level in (("/audio", 1.0), ("/second/audio", 0.1)):
            maker.raw_audio(at, tone(0.1) * level, topic=topic)
    return maker.close()


def formatless(path: Path) -> Path:
    """A microphone that does not say its format."""
    maker = BagMaker(path)
    for number in range(FRAMES):
        at = 100 * SECOND + number * SECOND // 10
        maker.image(at, lamp())
        maker.audio_data_stamped(at, tone(0.1))
    return maker.close()


RECORDINGS: dict[str, Callable[[Path], Path]] = {
    "video": lambda path: write_video(path.with_suffix(".mp4"), FRAMES / 10),
    "narrow": lambda path: write_video(path.with_suffix(".mp4"), FRAMES / 10, size=(48, 64)),
    "bag": bag,
    "formatless": formatless,
}


@pytest.fixture(scope="module", autouse=True)
def recordings(tmp_path_factory: pytest.TempPathFactory) -> None:
    made.folder = tmp_path_factory.mktemp("recordings")  # type: ignore[attr-defined]


@cache
def made(name: str) -> str:
    return str(RECORDINGS[name](made.folder / name))  # type: ignore[attr-defined]


class Heard:
    """A player and what it publishes, once everything here listens."""

    def __init__(self, graph: NodeGraph, parameters: dict[str, Any]) -> None:
        # Who is in the same process is known at once: nobody has to be waited for.
        given = {"input": "video", "rate": 3.0, "wait_for_subscribers": 0.0, **parameters}
        given["input"] = made(given["input"])
        self.graph = graph
        chosen = published_audio_type(given.get("audio_type", "auto"))
        self.images, self.compressed, self.cameras, self.sounds, self.clocks = (
            graph.listen(kind, topic, 1000)
            for kind, topic in (
                ("sensor_msgs/msg/Image", "image"),
                ("sensor_msgs/msg/CompressedImage", "image/compressed"),
                ("sensor_msgs/msg/CameraInfo", "camera_info"),
                (AUDIO_TYPES[chosen], "audio"), CLOCK,
            )
        )
        self.node = graph.add(PlayerNode, parameters=given)

    def to_the_end(self) -> Heard:
        self.graph.wait(lambda: self.node.finished, "the end")
        self.graph.wait(lambda: len(self.cameras) == FRAMES, "every frame")
        return self


@cache  # the same scenario wherever it is asked for: what it shows by default is remembered
def played(observe: Callable[[Heard], Any]) -> Observe:
    return lambda graph, parameters: observe(Heard(graph, parameters).to_the_end())


def stamps(heard: Heard) -> Any:
    return [stamp_to_ns(one.header.stamp) // SECOND for one in heard.cameras[:1]]


def cameras(heard: Heard) -> Any:
    return [(one.width, one.header.frame_id, one.k[0]) for one in heard.cameras]


def kinds(heard: Heard) -> Any:
    wanted = max(len(heard.images), len(heard.compressed))
    heard.graph.wait(lambda: wanted in (len(heard.images), len(heard.compressed)))
    return bool(heard.images), bool(heard.compressed)


def chunks(heard: Heard) -> Any:
    heard.graph.wait(lambda: heard.sounds, "sound")
    first = heard.sounds[0]
    loud = round(float(np.abs(read_audio(first).samples.astype(float)).max()), -3)
    frame = first.header.frame_id if hasattr(first, "header") else ""
    read = read_audio(first)
    return type(first).__name__, frame, read.rate_hz, read.samples.shape, loud


def clocks(heard: Heard) -> Any:
    return len(heard.clocks) > 4


def pace(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether the recording's time goes faster than the clock's own steps of 10 ms."""
    heard = Heard(graph, parameters)
    graph.wait(lambda: heard.cameras, "the first frame")
    graph.wait(lambda: len(heard.clocks) > 12, "the clock")
    return np.median(np.diff([stamp_to_ns(one.clock) for one in heard.clocks[:12]])) > 10**7


def comes_again(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    heard = Heard(graph, parameters)
    graph.wait(lambda: heard.node.finished or len(heard.cameras) > 2 * FRAMES)
    seen = [stamp_to_ns(one.header.stamp) for one in heard.cameras[: 2 * FRAMES]]
    return len(seen) > FRAMES, sorted(seen) == seen


def begins(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether there are frames, or for a while the clock alone."""
    heard = Heard(graph, parameters)
    held = bool(parameters.get("paused"))
    graph.wait(lambda: heard.cameras or (held and len(heard.clocks) > WHILE), "frames")
    return bool(heard.cameras)


def alone(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether it plays to nobody."""
    clocks = graph.listen(*CLOCK, 1000)
    node = graph.add(PlayerNode, parameters={"input": made("video"), "rate": 3.0, **parameters})
    waits = parameters["wait_for_subscribers"] > 0.0
    graph.wait(lambda: node.finished or (waits and len(clocks) > WHILE), "the end")
    return node.finished


def quality(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    Heard(graph, parameters)
    graph.wait(lambda: graph.tester.get_publishers_info_by_topic("/image"))
    (found,) = graph.tester.get_publishers_info_by_topic("/image")
    return found.qos_profile.reliability.name


def ends(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """The status of a process that ends by itself after the last message; None if it goes on."""
    clocks = graph.listen(*CLOCK, 1000)
    player = NodeProgram("player_node", "-p", f"input:={made('video')}", "-p", "rate:=10.0",
                         *(word for name in parameters for word in ("-p", f"{name}:=true")))
    try:
        if parameters:
            assert "played" in player.ended()
            return 0
        graph.wait(lambda: clocks, "the player")
        # Its recording is over after 0.06 s.
        graph.wait(lambda: len(clocks) > WHILE, "the clock")
        assert "played" in player.end()
        return None
    finally:
        player.kill()


FROM_BAG = {"image_topic": "/image", "audio_topic": "/audio"}
MOVES: Moves = {
    "input": (Move("narrow", played(cameras)),),
    "rate": (Move(0.1, pace, {"rate": 3.0}),),
    "loop": (Move(True, comes_again),),
    "loop_jumps_back": (Move(True, comes_again, {"loop": True}),),
    "paused": (Move(True, begins),),
    "wait_for_subscribers": (Move(60.0, alone, {"wait_for_subscribers": 0.0}),),
    "exit_when_done": (Move(True, ends),),
    "publish_clock": (Move(False, played(clocks)),),
    "clock_rate": (Move(1.0, played(clocks)),),
    "start_stamp": (Move("1000.0", played(stamps)),),
    "image_type": (Move("CompressedImage", played(kinds)), Move("both", played(kinds))),
    "audio_type": (Move(OTHER_TYPE, played(chunks)),),
    "audio_chunk": (Move(0.1, played(chunks)),),
    "qos": (Move("sensor_data", quality),),
    "frame_id": (Move("head", played(cameras)),),
    "audio_frame_id": (Move("audio_encoder", played(chunks), {"audio_type": HEADED}),),
    "horizontal_fov": (Move(0.5, played(cameras)), Move(2.0, played(cameras))),
    "image_topic": (Move("/second/image", played(cameras), {"input": "bag", **FROM_BAG}),),
    "audio_topic": (Move("/second/audio", played(chunks), {"input": "bag", **FROM_BAG}),),
    "audio_rate": (Move(8000, played(chunks), {"input": "formatless"}),),
    "audio_channels": (Move(2, played(chunks), {"input": "formatless"}),),
    "audio_format": (Move("U8", played(chunks), {"input": "formatless"}),),
}


def test_the_scenarios_are_those_of_the_parameters() -> None:
    check_names(NODE, MOVES)


@pytest.mark.parametrize("name", sorted(MOVES))
def test_a_parameter_has_an_effect(name: str) -> None:
    check_effect(name, MOVES)


@pytest.mark.parametrize("observe", [cameras, kinds, chunks, clocks])
def test_without_a_change_nothing_differs(observe: Callable[[Heard], Any]) -> None:
    check_steady(played(observe))
