"""The attention node: detections and calibration in, a direction and a state out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from attention_scene import CAT, DRUM, NODE, AttentionScene, camera_info
from node_graph import NodeGraph, page

from avs_ros.conversions.camera import bearing, make_ray_pose, read_camera_info
from avs_ros.conversions.messages import make_header
from avs_ros.errors import ParameterError
from avs_ros.nodes.attention_node import middle_of
from avs_ros.nodes.message_types import ROS

CAMERA = read_camera_info(camera_info())


def attend(graph: NodeGraph, **parameters: Any) -> AttentionScene:
    """A node that looks at once, and straight at it."""
    return AttentionScene(graph, {"dwell": 0.0, "smoothing": 0.0, **parameters})


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
    values = page(graph)
    bearings = graph.listen("geometry_msgs/msg/Vector3Stamped", f"{NODE}/bearing")
    scene = attend(graph)
    scene.state("nothing_sounding")
    ray = scene.ray(DRUM, CAT)
    assert ray == pytest.approx(CAMERA.ray((450.0, 150.0)))
    assert math.isclose(sum(value**2 for value in ray), 1.0)
    assert scene.targets[-1].header.frame_id == "camera_optical_frame"
    scene.state("looking")
    graph.wait(lambda: bearings, "a bearing")
    vector = bearings[-1].vector
    assert (vector.x, vector.y) == pytest.approx(bearing(ray))
    assert vector.x < 0 < vector.y  # right of the axis, above it
    graph.wait(lambda: "calibrated" in values.get("camera", ""), "camera_info on /diagnostics")


def test_it_goes_back_to_nothing(graph: NodeGraph) -> None:
    scene = attend(graph, hold=0.3)
    scene.ray(DRUM)
    scene.state("looking")
    assert scene.ray() == pytest.approx(CAMERA.ray((450.0, 150.0)))
    scene.state("holding")
    for _ in range(4):
        scene.frame()
    scene.state("nothing_sounding")


def test_it_notices_when_detections_stop(graph: NodeGraph) -> None:
    scene = attend(graph, hold=0.0)
    scene.frame(DRUM)
    scene.state("looking")
    scene.state("nothing_sounding")


def test_the_choice_can_be_changed_while_it_runs(graph: NodeGraph) -> None:
    scene = attend(graph, hysteresis=0.0)
    assert scene.ray(DRUM, CAT) == pytest.approx(CAMERA.ray((450.0, 150.0)))
    (result,) = graph.set_parameters(NODE, choose="largest")
    assert result.successful
    assert scene.ray(DRUM, CAT) == pytest.approx(CAMERA.ray((150.0, 150.0)))
    (result,) = graph.set_parameters(NODE, choose="label_priority")
    assert not result.successful and "label_priority" in result.reason
    (result,) = graph.set_parameters(NODE, label_priority=["drum"])
    assert result.successful
    (result,) = graph.set_parameters(NODE, choose="label_priority")
    assert result.successful
    assert scene.ray(DRUM, CAT) == pytest.approx(CAMERA.ray((450.0, 150.0)))


def test_the_mask_is_more_exact_than_the_box(graph: NodeGraph) -> None:
    scene = attend(graph)
    mask = np.zeros((240, 320), np.uint8)  # half the camera's size
    mask[60:70, 200:250] = 1
    # Middle of the instance in the mask, not the box's (450, 150).
    wanted = pytest.approx(CAMERA.ray((449.0, 129.0)), abs=5e-3)
    graph.wait(lambda: scene.ray(DRUM, mask=mask) == wanted, "the middle of the instance")


def test_without_calibration_there_is_a_state_but_no_ray(graph: NodeGraph) -> None:
    values = page(graph)
    scene = attend(graph)
    before = scene.frame(DRUM, calibrated=False)
    scene.state("looking")
    broken = camera_info()
    broken.k = np.zeros(9)
    scene.camera.publish(broken)
    graph.wait(lambda: values.get("refused camera_uncalibrated") == "1", "the count")
    after = scene.frame(DRUM, calibrated=False)
    graph.wait(lambda: values["received /detections"] == "2", "the second frame")
    assert scene.ray(DRUM) == pytest.approx(CAMERA.ray((450.0, 150.0)))
    assert not scene.looked_at(before) and not scene.looked_at(after)


def test_a_start_value_that_makes_no_sense_is_one_message(graph: NodeGraph) -> None:
    with pytest.raises(ParameterError, match="label_priority"):
        attend(graph, choose="label_priority")


def test_the_middle_lies_inside() -> None:
    ring = np.zeros((20, 20), bool)
    ring[2:18, 2:18] = True
    ring[5:15, 5:15] = False
    x, y = middle_of(ring) or (0.0, 0.0)
    assert ring[int(y), int(x)]
    assert middle_of(np.zeros((3, 3), bool)) is None
