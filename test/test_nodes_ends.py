"""SIGINT and SIGTERM to real processes, in every state: status 0, no complaint, nothing lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from node_graph import BASE_NS, NodeGraph, Recording, lamp, tone
from node_programs import NodeProgram

from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header
from avs_ros.media.video_writer import VideoWriter
from avs_ros.nodes.message_types import ROS

NODE = "/segmentation_node"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
START_S = 120.0  # a process on a busy machine
Start = Callable[..., NodeProgram]


@pytest.fixture
def start() -> Iterator[Start]:
    programs: list[NodeProgram] = []

    def start_one(*arguments: str, load_s: float = 0.0) -> NodeProgram:
        programs.append(NodeProgram(*arguments, load_s=load_s))
        return programs[-1]

    yield start_one
    for program in programs:
        program.kill()


@pytest.fixture
def video(tmp_path: Path) -> Path:
    writer = VideoWriter(tmp_path / "clip.mp4", 64, 48, 10, 16000, 1)
    for number in range(10):
        writer.frame(10**9 + number * 10**8, lamp())
    writer.sound(10**9, tone(1.0), 16000)
    writer.close()
    return tmp_path / "clip.mp4"


def up(graph: NodeGraph, program: NodeProgram, name: str, namespace: str = "/") -> None:
    known = graph.tester.get_node_names_and_namespaces
    graph.wait(lambda: not program.running or (name, namespace) in known(), name, START_S)
    assert program.running, program.ended()


WAYS = {
    "unconfigured": (),
    "inactive": ("configure",),
    "active": ("configure", "activate"),
    "finalized": ("configure", "shutdown"),
}


@pytest.mark.parametrize("wanted", WAYS)
def test_the_segmentation_node_ends_in_every_state(
    graph: NodeGraph, start: Start, wanted: str
) -> None:
    # Before it is configured, the real program needs no model.
    program = "brightness" if WAYS[wanted] else "segmentation_node"
    nodes = {}
    for number in SIGNALS:  # side by side, each in a namespace; what they hear is the same
        nodes[number] = start(
            program, "-p", "autostart:=false", "-r", f"__ns:=/{number.name}", "-r",
            "image:=/image", "-r", "audio:=/audio")
    masks = [graph.listen("sensor_msgs/msg/Image", f"/{number.name}{NODE}/mask")
             for number in SIGNALS]
    for number, node in nodes.items():
        up(graph, node, "segmentation_node", f"/{number.name}")
        for transition in WAYS[wanted]:
            assert graph.change(f"/{number.name}{NODE}", transition), transition
        assert graph.state(f"/{number.name}{NODE}") == wanted
    if wanted == "active":
        recording = Recording(graph)
        graph.wait(lambda: recording.images.get_subscription_count() == 2, "both subscriptions")
        graph.wait(lambda: recording.sounds.get_subscription_count() == 2, "both subscriptions")
        sent = 0

        def answered() -> bool:
            nonlocal sent
            sent += 1
            recording.sound(sent, 1.0)
            recording.frame(sent + 0.9)
            return all(masks)

        graph.wait(answered, "an answer of each")
    for number, node in nodes.items():
        on_graph = partial(graph.tester.count_publishers, f"/{number.name}{NODE}/transition_event")
        assert on_graph()
        node.end(number)
        # Not the names of nodes: on a busy machine the RMW reads what a node announced last after
        # its farewell, and keeps that participant for ever (GraphCache of rmw_dds_common).
        graph.wait(lambda on_graph=on_graph: not on_graph(), "a clean graph")


def test_a_model_that_loads_holds_nobody_up(graph: NodeGraph, start: Start) -> None:
    nodes = {number: start("brightness", "-r", f"__ns:=/{number.name}", load_s=3600.0)
             for number in SIGNALS}
    for number, node in nodes.items():
        up(graph, node, "segmentation_node", f"/{number.name}")
        graph.wait(lambda name=f"/{number.name}{NODE}": graph.state(name) == "configuring",
                   "the model to load")
        node.end(number)


def test_the_player_ends_while_it_plays(graph: NodeGraph, start: Start, video: Path) -> None:
    players = []
    for number in SIGNALS:
        images = graph.listen("sensor_msgs/msg/Image", f"/{number.name}/image")
        player = start("player_node", "-r", f"__ns:=/{number.name}", "-p", f"input:={video}",
                       "-p", "loop:=true", "-p", "rate:=20.0", "-p", "clock_rate:=1000.0")
        players.append((number, player, images))
    for number, player, images in players:
        graph.wait(lambda images=images, player=player: len(images) > 20 or not player.running,
                   "images", START_S)
        assert "played" in player.end(number)


def test_the_player_ends_while_it_waits_or_holds(
    graph: NodeGraph, start: Start, video: Path
) -> None:
    waits = start("player_node", "-r", "__node:=waits", "-p", f"input:={video}",
                  "-p", "wait_for_subscribers:=3600.0")
    holds = start("player_node", "-r", "__node:=holds", "-p", f"input:={video}",
                  "-p", "paused:=true")
    up(graph, waits, "waits")
    up(graph, holds, "holds")
    waits.end(signal.SIGINT)
    holds.end(signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_evaluator_writes_its_report_and_says_so(
    graph: NodeGraph, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", 200, latched=True)
    scores = graph.listen("std_msgs/msg/Float64", "/evaluator_node/iou")
    evaluator = start(
        "evaluator_node", "-p", f"output:={tmp_path / 'out'}", "-p", "wait:=0.1",
        "-p", "use_probability:=false")
    up(graph, evaluator, "evaluator_node")
    mask = graph.publisher("sensor_msgs/msg/Image", "mask", 50)
    truth = graph.publisher("sensor_msgs/msg/Image", "ground_truth/mask", 50)
    for publisher in (mask, truth):
        graph.wait(publisher.get_subscription_count, "the evaluator's subscription")
    box = np.zeros((48, 64), np.uint8)
    box[10:30, 20:40] = 255
    sent = 0

    def scored() -> bool:
        nonlocal sent
        sent += 1
        header = make_header(ROS, BASE_NS + sent * 10**8)
        truth.publish(make_image(ROS, header, box))
        mask.publish(make_image(ROS, header, box))
        return bool(scores)

    graph.wait(scored, "a score")
    assert "written to" in evaluator.end(number)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["frames"] > 0
    # Said while there was still a graph to say it to.
    graph.wait(lambda: [one for one in log if "written to" in one.msg], "the log on /rosout")


def test_an_evaluator_that_scored_nothing_ends_with_a_status(
    graph: NodeGraph, start: Start, tmp_path: Path
) -> None:
    evaluator = start("evaluator_node", "-p", f"output:={tmp_path / 'out'}")
    up(graph, evaluator, "evaluator_node")
    evaluator.process.send_signal(signal.SIGINT)
    _, said = evaluator.process.communicate(timeout=60)
    assert evaluator.process.returncode == 1 and "nothing to score" in said


def test_attention_and_microphone_end(graph: NodeGraph, start: Start) -> None:
    pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    programs = []
    for number in SIGNALS:
        for name, *more in (("attention_node",),
                            ("microphone_node", "-p", "device:=no such device")):
            program = start(name, "-r", f"__ns:=/{number.name}", *more)
            programs.append((number, name, program))
    for number, name, program in programs:
        up(graph, program, name, f"/{number.name}")
        program.end(number)


def test_two_namespaces_do_not_hear_each_other(
    graph: NodeGraph, start: Start, video: Path
) -> None:
    sides = ("left", "right")
    masks = {one: graph.listen("sensor_msgs/msg/Image", f"/{one}{NODE}/mask") for one in sides}
    nodes = [start("brightness", "-r", f"__ns:=/{one}") for one in sides]
    looks = [start("attention_node", "-r", f"__ns:=/{one}") for one in sides]
    for node, one in zip(nodes, sides, strict=True):
        graph.wait(
            lambda one=one: graph.tester.count_publishers(f"/{one}{NODE}/mask"), "a node", START_S)
        assert node.running
    player = start("player_node", "-r", "__ns:=/left", "-p", f"input:={video}", "-p", "loop:=true",
                   "-p", "wait_for_subscribers:=60.0")
    graph.wait(lambda: masks["left"], "a mask", START_S)
    # Everything in its own namespace, but the player's /clock and what ROS shares by convention.
    shared = {"/clock", "/diagnostics", "/parameter_events", "/rosout"}
    own = {"/left/image", "/left/audio", "/left/camera_info", "/right/attention_node/state"}

    def names() -> set[str]:
        return set(dict(graph.tester.get_topic_names_and_types()))

    graph.wait(lambda: shared | own <= names(), "every topic")
    assert {name for name in names() if not name.startswith(("/left/", "/right/"))} == shared
    assert not graph.tester.count_publishers("/right/image") and not masks["right"]
    for program, number in zip([*nodes, *looks], [*SIGNALS, *SIGNALS], strict=True):
        program.end(number)
    player.end()


STARTING = """
import os, signal, sys, threading
from avs_ros.nodes import programs
threading.Timer({wait_s}, os.kill, (os.getpid(), signal.{name})).start()
sys.exit(programs.segmentation_node())
"""


SWALLOWING = """
import importlib, os, signal, sys
from avs_ros.nodes import programs
load = importlib.import_module
def careless(name, package=None):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except BaseException:
        {then}
    importlib.import_module = load
    return load(name, package)
importlib.import_module = careless
sys.exit(programs.segmentation_node())
"""


@pytest.mark.parametrize("then", ["pass", "raise ImportError('as a C extension has it')"])
def test_a_library_that_swallows_the_signal_does_not_keep_the_program(then: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWING.format(then=then)], text=True, capture_output=True,
        timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_program_ends_while_it_loads_its_libraries() -> None:
    # Somewhere in its imports, or after them, wherever that is here and now.
    programs = {
        (wait_s, number.name): subprocess.Popen(
            [sys.executable, "-c", STARTING.format(wait_s=wait_s, name=number.name)], text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for wait_s in (0.1, 0.3, 0.9) for number in SIGNALS
    }
    try:
        for key, program in programs.items():
            _, said = program.communicate(timeout=120)
            assert program.returncode == 0 and "Traceback" not in said, (key, said)
    finally:
        for program in programs.values():
            program.kill()
            program.communicate()
