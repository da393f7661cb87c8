"""Every parameter of the attention node changes where or when it looks, or what it says.

``MOVES`` holds a scenario for each parameter; a parameter without one fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from node_graph import BASE_NS, NodeGraph
from parameter_moves import Move, Moves, Observe, check_effect, check_names, check_steady, waited

from avs_ros.conversions import (
    make_camera_info,
    make_detections,
    make_header,
    mask_to_image,
    read_ray,
    stamp_to_ns,
)
from avs_ros.nodes.attention_node import AttentionNode
from avs_ros.nodes.message_types import ROS
from avs_ros.segmentation import Instance, Segmentation

NODE = "attention_node"
SMALL, LARGE = (400.0, 100.0, 500.0, 200.0), (0.0, 0.0, 300.0, 300.0)
DRUM, CAT = Instance(1, "drum", 0.9, SMALL, 100), Instance(2, "cat", 0.5, LARGE, 100)
POLL_S = 0.3


def scored(one: Instance, score: float, right: float = 0.0) -> Instance:
    x0, y0, x1, y1 = one.box
    return Instance(one.index, one.label, score, (x0 + right, y0, x1 + right, y1), one.area_px)


class Scene:
    """A node, and frames of detections one second apart in the recording's time."""

    def __init__(self, graph: NodeGraph, parameters: dict[str, Any]) -> None:
        self.graph = graph
        self.targets = graph.listen("geometry_msgs/msg/PointStamped", f"/{NODE}/target")
        self.states = graph.listen("std_msgs/msg/String", f"/{NODE}/state", 20, latched=True)
        graph.add(AttentionNode, parameters=parameters)
        self.detections = graph.publisher("vision_msgs/msg/Detection2DArray", "detections")
        self.camera = graph.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
        self.masks = graph.publisher("sensor_msgs/msg/Image", "label_mask")
        for publisher in (self.detections, self.camera):
            graph.wait(publisher.get_subscription_count, "the node's subscription")
        info = make_camera_info(ROS, make_header(ROS, 1, "camera"), 640, 480, 1.2)
        # Rectified images have another focal length than those that the lens makes.
        info.p = [250.0, 0.0, 320.0, 0.0, 0.0, 250.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        self.info, self.now_ns = info, BASE_NS

    def send(self, *instances: Instance, mask: np.ndarray | None = None) -> int:
        self.camera.publish(self.info)
        self.now_ns += 10**9
        header = make_header(ROS, self.now_ns, "camera")
        nothing = np.zeros((4, 4), np.uint8)
        found = Segmentation(1, 640, 480, True, 0.5, "", "", 0.0, instances, None, 0.0,
                             nothing.astype(np.float32), nothing)
        if mask is not None:
            self.masks.publish(mask_to_image(ROS, header, mask))
        self.detections.publish(make_detections(ROS, header, found))
        return self.now_ns

    def listens(self, topic: str) -> list[Any]:
        return [one.qos_profile.reliability.name
                for one in self.graph.tester.get_subscriptions_info_by_topic(topic)]

    def rays(self, *frames: tuple[Instance, ...], **options: Any) -> list[Any]:
        """Where it looks in each frame; each of them has a target."""
        found = []
        for frame in frames:
            # The first may come before camera_info.
            for _ in range(20):
                stamp_ns = self.send(*frame, **options)
                if self._looks_at(stamp_ns):
                    break
            else:
                raise AssertionError("it looks at nothing")
            found.append([round(v, 4) for v in read_ray(self.targets[-1])])
        return found

    def frames_until(self, reached: Callable[[], bool], *frame: Instance) -> int:
        """How many frames it takes."""
        for number in range(1, 100):
            self.send(*frame)
            if waited(self.graph, reached, POLL_S):
                return number
        raise AssertionError("it never happens")

    def _looks_at(self, stamp_ns: int) -> bool:
        return waited(
            self.graph,
            lambda: self.targets and stamp_to_ns(self.targets[-1].header.stamp) == stamp_ns, 1.0)


def both(scene: Scene) -> Any:
    return scene.rays((DRUM, CAT))


def a_faint_large_one(scene: Scene) -> Any:
    return scene.rays((DRUM, scored(CAT, 0.2)))


def slightly_better(scene: Scene) -> Any:
    return scene.rays((scored(DRUM, 0.5),), (scored(DRUM, 0.5), scored(CAT, 0.55)))


def clearly_better(scene: Scene) -> Any:
    return scene.rays((scored(DRUM, 0.5),), (scored(DRUM, 0.5), scored(CAT, 0.7)))


def moving(scene: Scene) -> Any:
    return scene.rays((DRUM,), (scored(DRUM, 0.9, 40.0),))


def two_in_one_place(scene: Scene) -> Any:
    # Another drum is where the first one was, and louder; the first one has gone elsewhere.
    there = Instance(DRUM.index, "drum", 0.5, (20.0, 300.0, 80.0, 380.0), 100)
    other = Instance(DRUM.index + 5, "drum", 0.55, SMALL, 100)
    return scene.rays((scored(DRUM, 0.5),), (there, other))


def with_mask(scene: Scene) -> Any:
    mask = np.zeros((480, 640), np.uint8)
    mask[110:130, 410:430] = DRUM.index
    waited(scene.graph, scene.masks.get_subscription_count, 3.0)
    # The first frame may overtake its mask; from then on masks are waited for.
    return scene.rays(*[(DRUM,)] * 4, mask=mask)[-1]


def until_it_looks(scene: Scene) -> Any:
    return scene.frames_until(lambda: bool(scene.states) and scene.states[-1].data == "looking",
                              DRUM)


def until_it_gives_up(scene: Scene) -> Any:
    scene.rays((DRUM,))
    return scene.frames_until(lambda: scene.states[-1].data == "nothing_sounding")


def quality(scene: Scene) -> Any:
    # The publisher's offer has to be seen first.
    waited(scene.graph, lambda: scene.listens("/detections") == ["RELIABLE"], 5.0)
    return scene.listens("/detections")


def scene(observe: Callable[[Scene], Any]) -> Observe:
    return lambda graph, parameters: observe(Scene(graph, parameters))


QUICK = {"dwell": 0.0}
LISTED = {"label_priority": ["cat"], **QUICK}
MOVES: Moves = {
    "choose": (Move("largest", scene(both), QUICK), Move("label_priority", scene(both), LISTED)),
    "label_priority": (
        Move(["cat"], scene(both),
             {"choose": "label_priority", "label_priority": ["drum"], **QUICK}),
    ),
    "only_listed_labels": (Move(True, scene(both), LISTED),),
    "min_score": (
        Move(0.6, scene(both), {"choose": "largest", **QUICK}),
        Move(0.1, scene(a_faint_large_one), {"choose": "largest", **QUICK}),
    ),
    "hysteresis": (
        Move(0.0, scene(slightly_better), QUICK), Move(1.0, scene(clearly_better), QUICK),
    ),
    "dwell": (Move(0.0, scene(until_it_looks)), Move(8.0, scene(until_it_looks))),
    "hold": (
        Move(0.0, scene(until_it_gives_up), QUICK), Move(8.0, scene(until_it_gives_up), QUICK),
    ),
    "smoothing": (Move(0.0, scene(moving), QUICK), Move(5.0, scene(moving), QUICK)),
    "use_ids": (Move(True, scene(two_in_one_place), QUICK),),
    "use_mask": (Move(False, scene(with_mask), QUICK),),
    "image_rectified": (Move(True, scene(both), QUICK),),
    "qos": (Move("sensor_data", scene(quality)),),
}


def test_the_scenarios_are_those_of_the_parameters() -> None:
    check_names(NODE, MOVES)


@pytest.mark.parametrize("name", sorted(MOVES))
def test_a_parameter_has_an_effect(name: str) -> None:
    check_effect(name, MOVES)


@pytest.mark.parametrize("observe", [both, moving, with_mask, clearly_better])
def test_without_a_change_nothing_differs(observe: Callable[[Scene], Any]) -> None:
    check_steady(scene(observe), QUICK)
