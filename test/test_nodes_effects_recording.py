"""Every parameter of the microphone and of the evaluator changes what they publish or write.

``MICROPHONE`` and ``EVALUATOR`` hold a scenario for each parameter; one without fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_graph import BASE_NS, NodeGraph, page, tone
from parameter_moves import Move, Moves, Observe, check_effect, check_names, check_steady

from avs_ros.conversions.audio import AUDIO_TYPES
from avs_ros.conversions.image_writing import make_image
from avs_ros.conversions.messages import make_header
from avs_ros.errors import MediaError
from avs_ros.media.microphone import MicrophoneRequest
from avs_ros.nodes.evaluator_node import EvaluatorNode
from avs_ros.nodes.message_types import ROS, installed_audio_types, published_audio_type
from avs_ros.nodes.microphone_node import MicrophoneNode
from avs_ros.streaming import Sound

TENTH = 100_000_000
HEADED = next(one for one in installed_audio_types() if one.endswith("Stamped"))
OTHER_TYPE = next(one for one in installed_audio_types() if one != published_audio_type("auto"))


# --- the microphone


class OneBlock:
    """A device that gives one block of sound and then waits."""

    name, active, overflows = "tone", True, 0

    def __init__(self, request: MicrophoneRequest, on_sound: Callable[[Sound], None]) -> None:
        self.rate_hz, self.channels = request.rate_hz or 48000, request.channels
        samples = np.rint(32767 * tone(request.block_s, self.rate_hz)).astype(np.int16)
        on_sound(Sound(BASE_NS, np.repeat(samples[:, None], self.channels, 1), self.rate_hz))

    def close(self) -> None:
        """Nothing to free."""


def recorded(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """What is asked of the device and how it is published."""
    asked: list[MicrophoneRequest] = []

    def open_one(request: MicrophoneRequest, on_sound: Any, now_ns: Any) -> OneBlock:
        asked.append(request)
        return OneBlock(request, on_sound)

    graph.add(MicrophoneNode, open_microphone=open_one, parameters=parameters)
    graph.wait(lambda: asked, "the device")
    graph.wait(lambda: graph.tester.get_publishers_info_by_topic("/audio"), "the publisher")
    (found,) = graph.tester.get_publishers_info_by_topic("/audio")
    return asked[0], found.topic_type, found.qos_profile.reliability.name


def told_frame(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    heard = graph.listen(AUDIO_TYPES[HEADED], "audio")

    def open_again(request: MicrophoneRequest, on_sound: Any, now_ns: Any) -> OneBlock:
        device = OneBlock(request, on_sound)
        device.active = bool(heard)  # until it is heard the device comes and goes
        return device

    graph.add(MicrophoneNode, open_microphone=open_again,
              parameters={"audio_type": HEADED, "qos": "reliable", **parameters})
    graph.wait(lambda: heard, "sound")
    return heard[0].header.frame_id


def tries(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """Whether it asks for a device that is gone a second time."""
    asked: list[int] = []
    pages = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")

    def gone(request: MicrophoneRequest, on_sound: Any, now_ns: Any) -> OneBlock:
        asked.append(1)
        raise MediaError("no input device")

    graph.add(MicrophoneNode, open_microphone=gone, parameters=parameters)
    # A page comes each second.
    late = parameters["retry_period"] > 1.0
    graph.wait(lambda: len(asked) > 1 or (late and len(pages) > 2), "the second time")
    return len(asked) > 1


MICROPHONE: Moves = {
    "device": (Move("second", recorded),),
    "rate": (Move(8000, recorded), Move(0, recorded)),
    "channels": (Move(2, recorded),),
    "block": (Move(0.1, recorded),),
    "audio_type": (Move(OTHER_TYPE, recorded),),
    "qos": (Move("reliable", recorded),),
    "frame_id": (Move("audio_encoder", told_frame),),
    "retry_period": (Move(60.0, tries, {"retry_period": 0.1}),),
}


# --- the evaluator


def box(on: bool) -> np.ndarray:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:40] = 255 * on
    return mask


class Replay:
    """Answers and truths, and what is written of them."""

    def __init__(self, graph: NodeGraph, folder: Path, parameters: dict[str, Any]) -> None:
        self.graph, self.folder = graph, folder
        given = {"output": str(folder / "by_default"), **parameters}
        given["output"] = given["output"].replace("FOLDER", str(folder))
        self.told = page(graph)
        self.node = graph.add(EvaluatorNode, parameters=given)
        image = "sensor_msgs/msg/Image"
        self.mask = graph.publisher(image, "mask", 50)
        self.truth = graph.publisher(image, "ground_truth/mask", 50)
        self.probability = graph.publisher(image, "probability", 50)
        self.wanted = [self.mask, self.truth]
        if given.get("use_probability", True):
            self.wanted.append(self.probability)
        for publisher in self.wanted:
            graph.wait(publisher.get_subscription_count, "the evaluator's subscription")

    def frame(self, at: int, level: float = 0.9, late: bool = False) -> None:
        """A truth and an answer of that probability; ``late``: the answer waits for the end."""
        header = make_header(ROS, BASE_NS + at * TENTH)
        self.truth.publish(make_image(ROS, header, box(True)))
        # No threshold is right for all of them.
        shown = np.full((48, 64), np.float32(0.6 * level))
        shown[10:30, 20:40] = level
        self.probability.publish(make_image(ROS, header, shown))
        if not late:
            self.mask.publish(make_image(ROS, header, np.full((48, 64), 255, np.uint8)))

    def received(self, truths: int, answers: int) -> None:
        """Wait until the evaluator has had so many of them."""
        for publisher in self.wanted:
            count = answers if publisher is self.mask else truths
            self.graph.wait(
                lambda key=f"received {publisher.topic_name}", count=count:
                self.told.get(key) == str(count), publisher.topic_name)

    def written(self) -> Any:
        self.graph.remove(self.node)  # as at shutdown
        (path,) = self.folder.rglob("metrics.json")
        scores = json.loads(path.read_text())
        return path.parent.name, scores["frames"], scores["missed_frames"], scores["m_f"]


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    scores.factory = tmp_path_factory  # type: ignore[attr-defined]


def scores(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    """All is marked, and how probable it is tells more: at another level in each frame."""
    replay = Replay(graph, scores.factory.mktemp("scores"), parameters)  # type: ignore[attr-defined]
    for number, level in enumerate((0.9, 0.6, 0.4, 0.45, 0.42)):
        replay.frame(number, level)
    replay.received(5, 5)
    return replay.written()


def a_late_answer(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    replay = Replay(graph, scores.factory.mktemp("late"), parameters)  # type: ignore[attr-defined]
    replay.frame(0, late=True)
    # The last truth comes more than 2 s after the first one, and less than that after this one.
    replay.frame(10)
    replay.frame(25)
    replay.received(3, 2)
    replay.mask.publish(make_image(ROS, make_header(ROS, BASE_NS), box(True)))
    replay.received(3, 3)
    return replay.written()


def quality(graph: NodeGraph, parameters: dict[str, Any]) -> Any:
    Replay(graph, scores.factory.mktemp("quality"), parameters)  # type: ignore[attr-defined]
    return [one.qos_profile.reliability.name
            for one in graph.tester.get_subscriptions_info_by_topic("/mask")]


EVALUATOR: Moves = {
    "output": (Move("FOLDER/elsewhere", scores),),
    "wait": (Move(60.0, a_late_answer, {"wait": 2.0}),),
    "batch_frames": (Move(1, scores),),
    "use_probability": (Move(False, scores),),
    "qos": (Move("sensor_data", quality),),
}


@pytest.mark.parametrize(
    ("node", "moves"), [("microphone_node", MICROPHONE), ("evaluator_node", EVALUATOR)])
def test_the_scenarios_are_those_of_the_parameters(node: str, moves: Moves) -> None:
    check_names(node, moves)


@pytest.mark.parametrize("name", sorted(MICROPHONE))
def test_a_parameter_of_the_microphone_has_an_effect(name: str) -> None:
    check_effect(name, MICROPHONE)


@pytest.mark.parametrize("name", sorted(EVALUATOR))
def test_a_parameter_of_the_evaluator_has_an_effect(name: str) -> None:
    check_effect(name, EVALUATOR)


@pytest.mark.parametrize("observe", [recorded, told_frame, scores, a_late_answer])
def test_without_a_change_nothing_differs(observe: Observe) -> None:
    check_steady(observe)
