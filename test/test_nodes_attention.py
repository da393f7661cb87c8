"""The attention node: detections and calibration in, a direction and a state out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from node_graph import BASE_NS, NodeGraph

from avs_ros.conversions.camera import (
    bearing,
    make_camera_info,
    make_ray_pose,
    read_camera_info,
    read_ray,
)
from avs_ros.conversions.detections import make_detections
from avs_ros.conversions.image_writing import mask_to_image
from avs_ros.conversions.messages import make_header, stamp_to_ns
from avs_ros.errors import ParameterError
from avs_ros.nodes.attention_node import AttentionNode, middle_of
from avs_ros.nodes.message_types import ROS
from avs_ros.segmentation import Instance, Segmentation

NODE = "/attention_node"
INFO = make_camera_info(ROS, make_header(ROS, 1, "camera_optical_frame"), 640, 480, 1.2)
CAMERA = read_camera_info(INFO)


class Scene:
    """Sends detections (and masks) ten times a second of the recording's time."""

    def __init__(self, graph: NodeGraph, masks: bool = False, **parameters: Any) -> None:
        self.graph = graph
        self.targets = graph.listen("geometry_msgs/msg/PointStamped", f"{NODE}/target")
        self.bearings = graph.listen("geometry_msgs/msg/Vector3Stamped", f"{NODE}/bearing")
        self.diagnostics = graph.listen("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")
        self.states = graph.listen("std_msgs/msg/String", f"{NODE}/state", 20, latched=True)
        self.node = graph.add(
            AttentionNode, parameters={"dwell": 0.0, "smoothing": 0.0, **parameters})
        self.detections = graph.publisher("vision_msgs/msg/Detection2DArray", "detections")
        self.masks = graph.publisher("sensor_msgs/msg/Image", "label_mask") if masks else None
        self.camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
        for publisher in filter(None, (self.detections, self.masks, self.camera)):
            graph.wait(publisher.get_subscription_count, "the node's subscription")
        self.now_ns = BASE_NS

    def calibrate(self) -> None:
        self.camera.publish(INFO)
        self.graph.wait(lambda: "calibrated" in self.diagnosed("camera"), "camera_info")

    def diagnosed(self, key: str) -> str:
        """The newest value of ``key`` on /diagnostics; "" before the first."""
        pages = [page.status[0] for page in self.diagnostics if "attention" in page.status[0].name]
        return {pair.key: pair.value for pair in pages[-1].values}.get(key, "") if pages else ""

    def send(self, *instances: Instance, mask: np.ndarray | None = None) -> Any:
        self.now_ns += 100_000_000
        header = make_header(ROS, self.now_ns, "camera_optical_frame")
        empty = np.zeros((4, 4), np.uint8)
        found = Segmentation(1, 640, 480, True, 0.5, "", "", 0.0, instances, None, 0.0,
                             empty.astype(np.float32), empty)
        if mask is not None and self.masks is not None:
            self.masks.publish(mask_to_image(ROS, header, mask))
        self.detections.publish(make_detections(ROS, header, found))
        return header

    def state(self, wanted: str) -> None:
        self.graph.wait(lambda: self.states and self.states[-1].data == wanted, wanted)

    def target(self) -> tuple[float, float, float]:
        self.graph.wait(
            lambda: self.targets and stamp_to_ns(self.targets[-1].header.stamp) == self.now_ns,
            "a target")
        return read_ray(self.targets[-1])


DRUM = Instance(1, "drum", 0.9, (400.0, 100.0, 500.0, 200.0), 100)
CAT = Instance(2, "cat", 0.5, (0.0, 0.0, 300.0, 300.0), 100)


@pytest.mark.parametrize(
    "ray",
    [(0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (-0.48, 0.6, 0.64), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)],
)
def test_the_arrow_of_the_pose_is_the_ray(ray: tuple[float, float, float]) -> None:
    turn = make_ray_pose(ROS, make_header(ROS, 1, "camera_optical_frame"), ray).pose.orientation
    w, x, y, z = turn.w, turn.x, turn.y, turn.z
    assert w * w + x * x + y * y + z * z == pytest.approx(1.0)
    # The first column of the rotation matrix: where the x axis goes.
    arrow = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    assert arrow == pytest.approx(ray, abs=1e-6)


def test_it_looks_at_what_sounds(graph: NodeGraph) -> None:
    scene = Scene(graph)
    scene.state("nothing_sounding")
    scene.calibrate()
    scene.send(DRUM, CAT)
    ray = scene.target()
    assert ray == pytest.approx(CAMERA.ray((450.0, 150.0)))
    assert math.isclose(sum(value**2 for value in ray), 1.0)
    assert scene.targets[-1].header.frame_id == "camera_optical_frame"
    scene.state("looking")
    graph.wait(lambda: scene.bearings, "a bearing")
    vector = scene.bearings[-1].vector
    assert (vector.x, vector.y) == pytest.approx(bearing(ray))
    assert vector.x < 0 < vector.y  # right of the axis, above it


def test_it_goes_back_to_nothing(graph: NodeGraph) -> None:
    scene = Scene(graph, hold=0.3)
    scene.calibrate()
    scene.send(DRUM)
    scene.state("looking")
    scene.send()
    scene.state("holding")
    assert scene.target() == pytest.approx(CAMERA.ray((450.0, 150.0)))
    for _ in range(4):
        scene.send()
    scene.state("nothing_sounding")


def test_it_notices_when_detections_stop(graph: NodeGraph) -> None:
    scene = Scene(graph, hold=0.0)
    scene.calibrate()
    scene.send(DRUM)
    scene.state("looking")
    scene.state("nothing_sounding")


def test_the_choice_can_be_changed_while_it_runs(graph: NodeGraph) -> None:
    scene = Scene(graph, hysteresis=0.0)
    scene.calibrate()
    scene.send(DRUM, CAT)
    assert scene.target() == pytest.approx(CAMERA.ray((450.0, 150.0)))
    (result,) = graph.set_parameters(NODE, choose="largest")
    assert result.successful
    scene.send(DRUM, CAT)
    assert scene.target() == pytest.approx(CAMERA.ray((150.0, 150.0)))
    (result,) = graph.set_parameters(NODE, choose="label_priority")
    assert not result.successful and "label_priority" in result.reason
    (result,) = graph.set_parameters(NODE, label_priority=["drum"])
    assert result.successful
    (result,) = graph.set_parameters(NODE, choose="label_priority")
    assert result.successful
    scene.send(DRUM, CAT)
    assert scene.target() == pytest.approx(CAMERA.ray((450.0, 150.0)))


def test_the_mask_is_more_exact_than_the_box(graph: NodeGraph) -> None:
    scene = Scene(graph, masks=True)
    scene.calibrate()
    mask = np.zeros((240, 320), np.uint8)  # half the camera's size
    mask[60:70, 200:250] = 1
    for _ in range(50):
        scene.send(DRUM, mask=mask)
        ray = scene.target()
        if ray == pytest.approx(CAMERA.ray((449.0, 129.0)), abs=5e-3):
            break
    # Middle of the instance in the mask, not the box's (450, 150).
    assert ray == pytest.approx(CAMERA.ray((449.0, 129.0)), abs=5e-3)


def test_without_calibration_there_is_a_state_but_no_ray(graph: NodeGraph) -> None:
    scene = Scene(graph)
    scene.send(DRUM)
    scene.state("looking")
    broken = make_camera_info(ROS, make_header(ROS, 1), 640, 480, 1.2)
    broken.k = np.zeros(9)
    scene.camera.publish(broken)
    scene.send(DRUM)
    assert not scene.targets
    scene.calibrate()
    scene.send(DRUM)
    assert scene.target() == pytest.approx(CAMERA.ray((450.0, 150.0)))


def test_a_start_value_that_makes_no_sense_is_one_message(graph: NodeGraph) -> None:
    with pytest.raises(ParameterError, match="label_priority"):
        Scene(graph, choose="label_priority")


def test_the_middle_lies_inside() -> None:
    ring = np.zeros((20, 20), bool)
    ring[2:18, 2:18] = True
    ring[5:15, 5:15] = False
    x, y = middle_of(ring) or (0.0, 0.0)
    assert ring[int(y), int(x)]
    assert middle_of(np.zeros((3, 3), bool)) is None
