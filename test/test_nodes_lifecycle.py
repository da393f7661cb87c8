"""Lifecycle, parameters and services of the segmentation node, through their services."""

from __future__ import annotations

import ast
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import BrightnessSegmenter
from node_graph import BASE_NS, NodeGraph, Recording, rclpy
from ros_packages import get_message

from avs_ros.conversions import read_mask, stamp_to_ns
from avs_ros.errors import CheckpointError, ParameterError
from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.microphone_node import MicrophoneNode
from avs_ros.nodes.parameters import SEGMENTATION
from avs_ros.nodes.player_node import PlayerNode
from avs_ros.nodes.segmentation_inputs import SensorInputs
from avs_ros.nodes.segmentation_node import SegmentationNode, main
from avs_ros.streaming import Worker

NODE = "/segmentation_node"
IMAGE = "sensor_msgs/msg/Image"


@pytest.fixture
def graph() -> Iterator[NodeGraph]:
    graph = NodeGraph()
    yield graph
    graph.close()


class Models:
    """Makes segmenters and remembers them; fails when told to."""

    def __init__(self) -> None:
        self.made: list[BrightnessSegmenter] = []
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, parameters: Any) -> BrightnessSegmenter:
        self.asked.append(dict(parameters))
        if self.error is not None:
            raise self.error
        self.made.append(BrightnessSegmenter())
        return self.made[-1]


def start(graph: NodeGraph, models: Models, **parameters: Any) -> Any:
    return graph.add(
        SegmentationNode, create_segmenter=models,
        parameters={"diagnostics_period": 0.1, **parameters},
    )


def change(graph: NodeGraph, label: str) -> bool:
    transition = get_message("lifecycle_msgs/msg/Transition")(label=label)
    answer = graph.call(
        "lifecycle_msgs/srv/ChangeState", f"{NODE}/change_state", transition=transition)
    return bool(answer.success)


def state(graph: NodeGraph) -> str:
    answer = graph.call("lifecycle_msgs/srv/GetState", f"{NODE}/get_state")
    return str(answer.current_state.label)


def subscribed(graph: NodeGraph) -> set[str]:
    return {
        topic for topic in ("/image", "/audio")
        if graph.tester.get_subscriptions_info_by_topic(topic)
    }


def test_each_transition_does_its_part(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models, autostart=False, image_transport="raw", audio_type="AudioStamped")
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    recording = Recording(graph)
    assert state(graph) == "unconfigured" and not models.made

    assert change(graph, "configure") and state(graph) == "inactive"
    # Loaded, warmed with black pictures, and forgotten again.
    assert models.made[0].stamps and models.made[0].resets >= 2
    graph.wait(lambda: graph.tester.count_publishers(f"{NODE}/mask"), "publishers")
    assert not subscribed(graph)

    assert change(graph, "activate") and state(graph) == "active"
    recording.wait_for_node()
    recording.sound(0.0, 3.0)
    recording.frame(1.0)
    graph.wait(lambda: masks, "a mask")

    assert change(graph, "deactivate") and state(graph) == "inactive"
    graph.wait(lambda: not subscribed(graph), "no subscriptions")
    assert not models.made[0].closed

    assert change(graph, "activate")
    recording.wait_for_node()
    recording.sound(5.0, 3.0)
    recording.frame(6.0)
    graph.wait(lambda: len(masks) > 1, "a mask after activating again")

    assert change(graph, "deactivate") and change(graph, "cleanup")
    assert state(graph) == "unconfigured" and models.made[0].closed
    graph.wait(lambda: not graph.tester.count_publishers(f"{NODE}/mask"), "no publishers")

    assert change(graph, "configure") and len(models.made) == 2
    assert change(graph, "shutdown") and state(graph) == "finalized"
    assert models.made[1].closed


def test_it_starts_by_itself(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models)
    graph.wait(lambda: state(graph) == "active", "the node to become active")
    assert models.asked[0]["model"] == "c3n_light"


@pytest.mark.parametrize(
    "error", [CheckpointError("no weights at /models/none.safetensors: check `model`"),
              RuntimeError("CUDA out of memory")])
def test_a_model_that_cannot_be_loaded_fails_configure(
    graph: NodeGraph, error: Exception
) -> None:
    models = Models()
    models.error = error
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout")
    pages = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
    start(graph, models, autostart=False)
    graph.wait(lambda: graph.tester.count_publishers("/rosout") > 1)
    assert not change(graph, "configure")
    assert state(graph) == "unconfigured"
    line = graph.wait(lambda: [one for one in log if str(error) in one.msg], "the sentence")[0]
    assert line.level == 40 and "\n" not in line.msg
    graph.wait(
        lambda: any(
            status.level == b"\x02" and str(error) in status.message
            for page in pages for status in page.status
        ),
        "an error on /diagnostics",
    )
    models.error = None
    assert change(graph, "configure") and state(graph) == "inactive"


class FailingActivation(SegmentationNode):
    """Its first activation breaks half way, when everything stands already."""

    failed = False

    def on_activate(self, state: Any) -> Any:
        result = super().on_activate(state)
        if not self.failed:
            self.failed = True
            raise RuntimeError("lost the camera")
        return result


def test_what_a_transition_dies_of_is_logged(
    graph: NodeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rclpy itself keeps only that it has failed."""

    def lose(self: Any, *args: Any) -> None:
        raise RuntimeError("lost the camera")

    models = Models()
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", latched=True)
    start(graph, models, autostart=False)
    graph.wait(lambda: graph.tester.count_publishers("/rosout") > 1)
    assert change(graph, "configure")
    monkeypatch.setattr(SensorInputs, "open", lose)
    assert not change(graph, "activate")
    line = graph.wait(
        lambda: [one for one in log if "lost the camera" in one.msg], "the reason")[0]
    assert line.level == 40 and "on_activate" in line.msg
    assert state(graph) == "unconfigured" and models.made[0].closed


def test_error_processing_recovers(graph: NodeGraph) -> None:
    models = Models()
    graph.add(
        FailingActivation, create_segmenter=models,
        parameters={"autostart": False, "image_transport": "raw", "audio_type": "RawAudio"})
    assert change(graph, "configure")
    assert not change(graph, "activate")
    assert state(graph) == "unconfigured" and models.made[0].closed
    graph.wait(lambda: not subscribed(graph), "no subscriptions")
    assert change(graph, "configure") and change(graph, "activate")
    graph.wait(lambda: subscribed(graph) == {"/image", "/audio"}, "subscriptions")


def test_parameters_can_be_changed_where_it_makes_sense(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    labels = graph.listen("vision_msgs/msg/LabelInfo", f"{NODE}/label_info", 5, latched=True)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 9.0)

    def marked(at_s: float) -> bool:
        stamp_ns = recording.frame(at_s)
        graph.wait(lambda: masks and stamp_to_ns(masks[-1].header.stamp) == stamp_ns, "a mask")
        return bool(read_mask(masks[-1]).any())

    assert marked(1.0)
    for number, (hidden, shown) in enumerate(
        (
            ({"min_area": 0.9}, {"min_area": 0.002}),
            ({"labels_ignore": ["lamp"]}, {"labels_ignore": [""]}),
            ({"labels_keep": ["cat"]}, {"labels_keep": ["cat", "lamp"]}),
            ({"silence_dbfs": -1.0}, {"silence_dbfs": -60.0}),
        )
    ):
        assert all(one.successful for one in graph.set_parameters(NODE, **hidden)), hidden
        assert not marked(2.0 + number), hidden
        assert all(one.successful for one in graph.set_parameters(NODE, **shown)), shown
        assert marked(2.5 + number), shown
    (result,) = graph.set_parameters(NODE, threshold=0.75)
    assert result.successful
    graph.wait(lambda: labels and labels[-1].threshold == pytest.approx(0.75), "the threshold")


def test_other_changes_are_refused_with_a_reason(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models)
    graph.wait(lambda: state(graph) == "active", "the node to become active")
    for values, word in (
        ({"model": "c3n_pvt"}, "configure"),
        ({"audio_qos": "reliable"}, "configure"),
        ({"threshold": 1.5}, "threshold"),
        ({"max_rate": -1.0}, "max_rate"),
        ({"max_instances": 0}, "max_instances"),
        ({"audio_format": "S17LE"}, "S16LE"),
        ({"autostart": False}, "read-only"),
    ):
        (result,) = graph.set_parameters(NODE, **values)
        assert not result.successful and word in result.reason, (values, result.reason)
        name = next(iter(values))
        default = {spec.name: spec.default for spec in SEGMENTATION}[name]
        assert graph.nodes[-1].get_parameter(name).value == default
    assert change(graph, "deactivate") and change(graph, "cleanup")
    (result,) = graph.set_parameters(NODE, model="c3n_pvt")
    assert result.successful and change(graph, "configure")
    assert models.asked[-1]["model"] == "c3n_pvt"


def test_descriptors_show_description_and_range(graph: NodeGraph) -> None:
    start(graph, Models(), autostart=False)
    names = [spec.name for spec in SEGMENTATION]
    answer = graph.call(
        "rcl_interfaces/srv/DescribeParameters", f"{NODE}/describe_parameters", names=names)
    for spec, descriptor in zip(SEGMENTATION, answer.descriptors, strict=True):
        assert descriptor.description.startswith(spec.description)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        if spec.minimum is not None:
            assert (ranges[0].from_value, ranges[0].to_value) == (spec.minimum, spec.maximum)
        for choice in spec.choices:
            assert choice in descriptor.additional_constraints


@pytest.mark.parametrize("parameters", [{"audio_type": "Noise"}, {"image_qos": "best"}])
def test_a_wrong_start_value_is_one_sentence(
    graph: NodeGraph, parameters: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match="expected one of"):
        start(graph, Models(), **parameters)


def test_an_option_that_the_model_does_not_have_fails_configure(graph: NodeGraph) -> None:
    start(graph, Models(), autostart=False, companion_threshold=0.9)
    assert not change(graph, "configure")
    (result,) = graph.set_parameters(NODE, companion_threshold=0.5)
    assert result.successful and change(graph, "configure")
    (result,) = graph.set_parameters(NODE, release=0.2)
    assert not result.successful and "brightness has no release" in result.reason


def test_enable_and_reset(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models)
    masks = graph.listen(IMAGE, f"{NODE}/mask")
    recording = Recording(graph)
    recording.wait_for_node()
    answer = graph.call("std_srvs/srv/SetBool", f"{NODE}/enable", data=False)
    assert answer.success and "disabled" in answer.message
    graph.wait(lambda: not subscribed(graph), "no subscriptions")
    assert state(graph) == "active" and not models.made[0].closed
    assert graph.call("std_srvs/srv/SetBool", f"{NODE}/enable", data=True).success
    recording.wait_for_node()
    recording.sound(0.0, 2.0)
    recording.frame(1.5)
    graph.wait(lambda: masks, "a mask")
    assert graph.call("std_srvs/srv/Trigger", f"{NODE}/reset").success
    # After a reset an older recording is not "a jump back": it is simply the next stream.
    recording.sound(-9.0, 2.0)
    recording.frame(-8.0)
    graph.wait(lambda: len(masks) == 2, "a mask after the reset")
    assert stamp_to_ns(masks[1].header.stamp) == BASE_NS - 8_000_000_000
    assert read_mask(masks[1]).any()
    assert change(graph, "deactivate") and change(graph, "cleanup")
    answer = graph.call("std_srvs/srv/Trigger", f"{NODE}/reset")
    assert not answer.success and "unconfigured" in answer.message


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


MAIN = "import sys; from avs_ros.nodes.{0} import main; sys.exit(main(sys.argv))"


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_main_ends_cleanly_when_interrupted(graph: NodeGraph, interrupt: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN.format("segmentation_node"), "--ros-args",
         "-p", "autostart:=false", "-r", f"__node:=interrupted_{interrupt}"],
        stderr=subprocess.PIPE, env=os.environ,
    )
    try:
        graph.wait(
            lambda: f"interrupted_{interrupt}" in graph.tester.get_node_names(), "it", 60.0)
        process.send_signal(interrupt)
        _, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, complaint.decode()
    assert b"Traceback" not in complaint


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


class StubbornSegmenter(BrightnessSegmenter):
    """Cannot be stopped inside its step until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.stubborn = False
        self.entered, self.go = threading.Event(), threading.Event()

    def step(self, frame: Any, window: Any, stamp_ns: int) -> Any:
        if self.stubborn:
            self.entered.set()
            assert self.go.wait(30)
            assert not self.closed
        return super().step(frame, window, stamp_ns)


def test_a_model_that_hangs_is_not_closed_under_its_own_feet(
    graph: NodeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker.stop, "__defaults__", (0.05,))
    segmenter = StubbornSegmenter()
    graph.add(SegmentationNode, create_segmenter=lambda _: segmenter)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 2.0)
    segmenter.stubborn = True
    recording.frame(1.0)
    assert segmenter.entered.wait(20)
    assert change(graph, "deactivate")
    assert not change(graph, "activate")  # the old worker is still there
    assert state(graph) == "inactive"
    assert change(graph, "cleanup") and not segmenter.closed
    segmenter.go.set()
    graph.wait(lambda: segmenter.closed, "the model to be closed")


BLOCKED = ("av", "rich", "matplotlib", "skimage", "torch", "soundfile", "sounddevice", "scipy")


def test_nodes_need_no_tool_library_to_start() -> None:
    code = (
        f"import sys; [sys.modules.__setitem__(name, None) for name in {BLOCKED!r}]; "
        "from avs_ros.nodes import attention_node, microphone_node, player_node, segmentation_node"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
