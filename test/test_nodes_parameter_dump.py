"""A node describes its parameters, takes back its own dump, and refuses what it cannot take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import BrightnessSegmenter
from node_graph import SEGMENTATION as NODE
from node_graph import NodeGraph, start_segmentation, tone
from ros_packages import get_message

from avs_ros.errors import ParameterError
from avs_ros.media.video_writer import VideoWriter
from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.evaluator_node import EvaluatorNode
from avs_ros.nodes.microphone_node import MicrophoneNode
from avs_ros.nodes.parameters import TABLES
from avs_ros.nodes.player_node import PlayerNode
from avs_ros.nodes.segmentation_node import SegmentationNode


def clip(folder: Path) -> str:
    writer = VideoWriter(folder / "clip.mp4", 64, 48, 10, 16000, 1)
    for number in range(10):
        writer.frame(10**9 + number * 10**8, np.zeros((48, 64, 3), np.uint8))
    writer.sound(10**9, tone(1.0), 16000)
    writer.close()
    return str(folder / "clip.mp4")


class NoDevice:
    """A microphone that never brings anything."""

    name, rate_hz, channels, overflows, active = "none", 16000, 1, 0, True

    def close(self) -> None:
        pass


def load(graph: NodeGraph, node: str) -> dict[str, str]:
    """`ros2 param load` of `ros2 param dump`: what was refused, and why."""
    names = list(graph.call(
        "rcl_interfaces/srv/ListParameters", f"{node}/list_parameters").result.names)
    held = graph.call("rcl_interfaces/srv/GetParameters", f"{node}/get_parameters", names=names)
    assert len(held.values) == len(names), "a parameter without a value hides all the others"
    parameter = _message("rcl_interfaces/msg/Parameter")
    answer = graph.call(
        "rcl_interfaces/srv/SetParameters", f"{node}/set_parameters",
        parameters=[
            parameter(name=name, value=value)
            for name, value in zip(names, held.values, strict=True)
        ],
    )
    return {
        name: result.reason
        for name, result in zip(names, answer.results, strict=True) if not result.successful
    }


def _message(name: str) -> Any:

    return get_message(name)


NODES: dict[str, Callable[[NodeGraph, Path], Any]] = {
    "segmentation_node": lambda graph, folder: graph.add(
        SegmentationNode, create_segmenter=lambda parameters: BrightnessSegmenter()),
    "player_node": lambda graph, folder: graph.add(
        PlayerNode, parameters={"input": clip(folder), "paused": True}),
    "attention_node": lambda graph, folder: graph.add(AttentionNode),
    "evaluator_node": lambda graph, folder: graph.add(
        EvaluatorNode, parameters={"output": str(folder / "out")}),
    "microphone_node": lambda graph, folder: graph.add(
        MicrophoneNode, open_microphone=lambda request, on_sound, now_ns: NoDevice()),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_takes_back_its_own_dump(graph: NodeGraph, tmp_path: Path, name: str) -> None:
    NODES[name](graph, tmp_path)
    if name == "segmentation_node":
        # With everything that configure fixes, and with the overrides of its subscriptions.
        graph.wait(lambda: graph.tester.count_publishers(f"/{name}/mask"), "configure")
    assert load(graph, f"/{name}") == {}


def test_a_fixed_value_is_not_changed(graph: NodeGraph, tmp_path: Path) -> None:
    NODES["player_node"](graph, tmp_path)
    (same, other) = graph.set_parameters("/player_node", loop_jumps_back=False, clock_rate=5.0)
    assert same.successful and not other.successful and "read-only" in other.reason
    (wrong_type,) = graph.set_parameters("/player_node", clock_rate=100)
    assert not wrong_type.successful


def test_what_configure_fixed_may_be_said_again(graph: NodeGraph, tmp_path: Path) -> None:
    NODES["segmentation_node"](graph, tmp_path)
    graph.wait(lambda: graph.tester.count_publishers("/segmentation_node/mask"), "configure")
    (same,) = graph.set_parameters("/segmentation_node", audio_depth=50)
    assert same.successful
    (other,) = graph.set_parameters("/segmentation_node", audio_depth=51)
    assert not other.successful and "fixed by configure" in other.reason


def test_descriptors_show_description_and_range(graph: NodeGraph) -> None:
    start_segmentation(graph, autostart=False)
    names = [spec.name for spec in TABLES["segmentation_node"]]
    answer = graph.call(
        "rcl_interfaces/srv/DescribeParameters", f"{NODE}/describe_parameters",
        names=names,
    )
    for spec, descriptor in zip(TABLES["segmentation_node"], answer.descriptors, strict=True):
        assert descriptor.description.startswith(spec.description)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        if spec.minimum is not None:
            assert (ranges[0].from_value, ranges[0].to_value) == (spec.minimum, spec.maximum)
        for choice in spec.choices:
            assert choice in descriptor.additional_constraints


@pytest.mark.parametrize("parameters", [{"audio_type": "Noise"}, {"image_qos": "best"}])
def test_a_wrong_start_value_is_one_message(
    graph: NodeGraph, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match="expected one of"):
        start_segmentation(graph, **parameters)
