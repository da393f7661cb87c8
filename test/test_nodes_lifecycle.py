"""Lifecycle, parameters and services of the segmentation node, through their services."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import BlockedSegmenter, BrightnessSegmenter
from node_graph import BASE_NS, NodeGraph, Recording

from avs_ros.conversions.image_reading import read_mask
from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.errors import CheckpointError
from avs_ros.nodes.parameters import TABLES
from avs_ros.nodes.segmentation_inputs import SensorInputs
from avs_ros.nodes.segmentation_node import SegmentationNode
from avs_ros.streaming import Worker

NODE = "/segmentation_node"
IMAGE = "sensor_msgs/msg/Image"


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
    assert graph.state(NODE) == "unconfigured" and not models.made

    assert graph.change(NODE, "configure") and graph.state(NODE) == "inactive"
    # Loaded, warmed with black images, and forgotten again.
    assert models.made[0].stamps and models.made[0].resets >= 2
    graph.wait(lambda: graph.tester.count_publishers(f"{NODE}/mask"), "publishers")
    assert not subscribed(graph)

    assert graph.change(NODE, "activate") and graph.state(NODE) == "active"
    recording.wait_for_node()
    recording.sound(0.0, 3.0)
    recording.frame(1.0)
    graph.wait(lambda: masks, "a mask")

    assert graph.change(NODE, "deactivate") and graph.state(NODE) == "inactive"
    graph.wait(lambda: not subscribed(graph), "no subscriptions")
    assert not models.made[0].closed

    assert graph.change(NODE, "activate")
    recording.wait_for_node()
    recording.sound(5.0, 3.0)
    recording.frame(6.0)
    graph.wait(lambda: len(masks) > 1, "a mask after activating again")

    assert graph.change(NODE, "deactivate") and graph.change(NODE, "cleanup")
    assert graph.state(NODE) == "unconfigured" and models.made[0].closed
    graph.wait(lambda: not graph.tester.count_publishers(f"{NODE}/mask"), "no publishers")

    assert graph.change(NODE, "configure") and len(models.made) == 2
    assert graph.change(NODE, "shutdown") and graph.state(NODE) == "finalized"
    assert models.made[1].closed


def test_it_starts_by_itself(graph: NodeGraph) -> None:
    models = Models()
    start(graph, models)
    graph.wait(lambda: graph.state(NODE) == "active", "the node to become active")
    assert models.asked[0]["model"] == "c3n_light"


@pytest.mark.parametrize(
    "error", [CheckpointError("no weights at /models/none.safetensors: check `model`"),
              RuntimeError("CUDA out of memory")])
def test_a_model_that_cannot_be_loaded_fails_configure(
    graph: NodeGraph, error: Exception
) -> None:
    models = Models()
    models.error = error
    log = graph.listen("rcl_interfaces/msg/Log", "/rosout", latched=True)
    pages = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
    start(graph, models, autostart=False)
    assert not graph.change(NODE, "configure")
    assert graph.state(NODE) == "unconfigured"
    line = graph.wait(lambda: [one for one in log if str(error) in one.msg], "the message")[0]
    assert line.level == 40 and "\n" not in line.msg
    graph.wait(
        lambda: any(
            status.level == b"\x02" and str(error) in status.message
            for page in pages for status in page.status
        ),
        "an error on /diagnostics",
    )
    models.error = None
    assert graph.change(NODE, "configure") and graph.state(NODE) == "inactive"


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
    assert graph.change(NODE, "configure")
    monkeypatch.setattr(SensorInputs, "open", lose)
    assert not graph.change(NODE, "activate")
    line = graph.wait(
        lambda: [one for one in log if "lost the camera" in one.msg], "the reason")[0]
    assert line.level == 40 and "on_activate" in line.msg
    assert graph.state(NODE) == "unconfigured" and models.made[0].closed


def test_error_processing_recovers(graph: NodeGraph) -> None:
    models = Models()
    graph.add(
        FailingActivation, create_segmenter=models,
        parameters={"autostart": False, "image_transport": "raw", "audio_type": "RawAudio"})
    assert graph.change(NODE, "configure")
    assert not graph.change(NODE, "activate")
    assert graph.state(NODE) == "unconfigured" and models.made[0].closed
    graph.wait(lambda: not subscribed(graph), "no subscriptions")
    assert graph.change(NODE, "configure") and graph.change(NODE, "activate")
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
    graph.wait(lambda: graph.state(NODE) == "active", "the node to become active")
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
        default = {spec.name: spec.default for spec in TABLES["segmentation_node"]}[name]
        assert graph.nodes[-1].get_parameter(name).value == default
    assert graph.change(NODE, "deactivate") and graph.change(NODE, "cleanup")
    (result,) = graph.set_parameters(NODE, model="c3n_pvt")
    assert result.successful and graph.change(NODE, "configure")
    assert models.asked[-1]["model"] == "c3n_pvt"


def test_an_option_that_the_model_does_not_have_fails_configure(graph: NodeGraph) -> None:
    start(graph, Models(), autostart=False, companion_threshold=0.9)
    assert not graph.change(NODE, "configure")
    (result,) = graph.set_parameters(NODE, companion_threshold=0.5)
    assert result.successful and graph.change(NODE, "configure")
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
    assert graph.state(NODE) == "active" and not models.made[0].closed
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
    assert graph.change(NODE, "deactivate") and graph.change(NODE, "cleanup")
    answer = graph.call("std_srvs/srv/Trigger", f"{NODE}/reset")
    assert not answer.success and "unconfigured" in answer.message


def test_a_model_that_hangs_is_not_closed_under_its_own_feet(
    graph: NodeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker.stop, "__defaults__", (0.05,))
    segmenter = BlockedSegmenter()
    graph.add(SegmentationNode, create_segmenter=lambda _: segmenter)
    recording = Recording(graph)
    recording.wait_for_node()
    recording.sound(0.0, 2.0)
    segmenter.blocking = True
    recording.frame(1.0)
    assert segmenter.entered.wait(20)
    assert graph.change(NODE, "deactivate")
    assert not graph.change(NODE, "activate")  # the old worker is still there
    assert graph.state(NODE) == "inactive"
    assert graph.change(NODE, "cleanup") and not segmenter.closed
    segmenter.go.set()
    graph.wait(lambda: segmenter.closed, "the model to be closed")


def test_a_destroyed_node_leaves_the_graph_whoever_still_holds_it(graph: NodeGraph) -> None:
    node = start(graph, Models(), autostart=False)
    name = node.get_name()
    graph.wait(lambda: name in graph.tester.get_node_names(), "the node")
    graph.remove(node)
    graph.wait(lambda: name not in graph.tester.get_node_names(), "a graph without it")
    del node  # held until here
