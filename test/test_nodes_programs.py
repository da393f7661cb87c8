"""The nodes as programs: what they need, how they end, which names they leave to rclpy."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest
from node_graph import NodeGraph, rclpy

from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.microphone_node import MicrophoneNode
from avs_ros.nodes.player_node import PlayerNode
from avs_ros.nodes.segmentation_node import SegmentationNode, main

# What rclpy's Node and LifecycleNode keep for themselves (Humble to Kilted).
RCLPY_NAMES = {
    "_allow_undeclared_parameters", "_apply_descriptor", "_apply_descriptor_and_set",
    "_apply_descriptors", "_callbacks", "_check_undeclared_parameters", "_clients", "_clock",
    "_context", "_default_callback_group", "_descriptors", "_executor", "_guards", "_handle",
    "_logger", "_logging_service", "_managed_entities", "_on_set_parameters_callbacks",
    "_parameter_event_publisher", "_parameter_overrides", "_parameter_service", "_parameters",
    "_parameters_callbacks", "_post_set_parameters_callbacks", "_pre_set_parameters_callbacks",
    "_publishers", "_rate_group", "_service_change_state", "_service_get_available_states",
    "_service_get_available_transitions", "_service_get_state", "_service_get_transition_graph",
    "_services", "_set_parameters", "_set_parameters_atomically", "_state_machine",
    "_subscriptions", "_time_source", "_timers", "_type_description_service",
    "_validate_qos_or_depth_parameter", "_validate_topic_or_service_name", "_waitables",
    "_wake_executor",
}


@pytest.mark.parametrize(
    "node_class", [SegmentationNode, AttentionNode, PlayerNode, MicrophoneNode])
def test_no_private_name_of_rclpy_is_taken(graph: NodeGraph, node_class: type) -> None:
    plain = graph.add(rclpy.lifecycle.LifecycleNode, "plain")
    tree = ast.parse(inspect.getsource(node_class))
    own = {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef)}
    own |= {
        item.attr for item in ast.walk(tree)
        if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store)
    }
    private = {name for name in own if name.startswith("_") and not name.endswith("__")}
    assert not private & (vars(plain).keys() | RCLPY_NAMES)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["-p", "threshold:=7.0"], "threshold"), (["-p", "threshold:=high"], "threshold"),
     (["-p", "audio_type:=Noise"], "audio_type")],
)
def test_main_says_what_is_wrong_with_a_parameter(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segmentation_node", "--ros-args", *arguments]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert word in complaint and "Traceback" not in complaint
    assert not rclpy.ok()


BLOCKED = ("av", "rich", "matplotlib", "skimage", "torch", "soundfile", "sounddevice", "scipy")


def test_nodes_need_no_tool_library_to_start() -> None:
    code = (
        f"import sys; [sys.modules.__setitem__(name, None) for name in {BLOCKED!r}]; "
        "from avs_ros.nodes import attention_node, microphone_node, player_node, segmentation_node"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
