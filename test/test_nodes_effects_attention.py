"""Every parameter of the attention node changes where or when it looks, or what it says.

``MOVES`` holds a scenario for each parameter; a parameter without one fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from attention_scene import CAT, DRUM, AttentionScene
from node_graph import BASE_NS
from parameter_moves import Move, Moves, Observe, check_effect, check_names, check_steady

from avs_ros.conversions.messages import stamp_to_ns
from avs_ros.segmentation import Instance

# One worker has what is seen by default.
pytestmark = pytest.mark.xdist_group("effects_attention")
NODE = "attention_node"
ENOUGH = 6  # frames, one second apart


def rays(scene: AttentionScene, *frames: tuple[Instance, ...], **options: Any) -> Any:
    """Where it looks in each frame; each of them has a target."""
    return [
        [round(value, 4) for value in scene.ray(*frame, **options)] for frame in frames
    ]


def both(scene: AttentionScene) -> Any:
    return rays(scene, (DRUM, CAT))


def a_faint_large_one(scene: AttentionScene) -> Any:
    return rays(scene, (DRUM, replace(CAT, score=0.2)))


def slightly_better(scene: AttentionScene) -> Any:
    drum = replace(DRUM, score=0.5)
    return rays(scene, (drum,), (drum, replace(CAT, score=0.55)))


def clearly_better(scene: AttentionScene) -> Any:
    drum = replace(DRUM, score=0.5)
    return rays(scene, (drum,), (drum, replace(CAT, score=0.7)))


def moving(scene: AttentionScene) -> Any:
    x0, y0, x1, y1 = DRUM.box
    return rays(scene, (DRUM,), (replace(DRUM, box=(x0 + 40.0, y0, x1 + 40.0, y1)),))


def two_in_one_place(scene: AttentionScene) -> Any:
    # Another drum is where the first one was, and louder; the first one has gone elsewhere.
    drum = replace(DRUM, score=0.5)
    there = replace(drum, box=(20.0, 300.0, 80.0, 380.0))
    other = replace(drum, index=DRUM.index + 5, score=0.55)
    return rays(scene, (drum,), (there, other))


def with_mask(scene: AttentionScene) -> Any:
    mask = np.zeros((480, 640), np.uint8)
    mask[110:130, 410:430] = DRUM.index
    # The first frame may overtake its mask; from then on masks are waited for.
    return rays(scene, *[(DRUM,)] * 4, mask=mask)[-1]


def calibrate(scene: AttentionScene) -> None:
    """Until camera_info has come; what it looked at meanwhile is forgotten.

    A step back in time is a new recording.
    """
    scene.now_ns = BASE_NS + 10**12
    scene.graph.wait(lambda: scene.frame(DRUM) and scene.targets, "a target")
    scene.now_ns = BASE_NS


def looks(scene: AttentionScene, *frames: tuple[Instance, ...]) -> Any:
    """In which of the frames it looks at something, in the last one at the latest."""
    stamps = [scene.frame(*frame) for frame in frames]
    scene.graph.wait(lambda: scene.looked_at(stamps[-1]), "the last target")
    seen = {stamp_to_ns(one.header.stamp) for one in scene.targets}
    return [stamp in seen for stamp in stamps]


def until_it_looks(scene: AttentionScene) -> Any:
    calibrate(scene)
    return looks(scene, *[(DRUM,)] * ENOUGH)


def until_it_gives_up(scene: AttentionScene) -> Any:
    calibrate(scene)
    return looks(scene, (DRUM,), *[()] * ENOUGH, (DRUM,))


def quality(scene: AttentionScene) -> Any:
    return [one.qos_profile.reliability.name
            for one in scene.graph.tester.get_subscriptions_info_by_topic("/detections")]


@cache  # the same scenario wherever it is asked for: what it shows by default is remembered
def scene(observe: Callable[[AttentionScene], Any]) -> Observe:
    return lambda graph, parameters: observe(AttentionScene(graph, parameters, step_s=1.0))


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
    "dwell": (Move(0.0, scene(until_it_looks)), Move(3.0, scene(until_it_looks))),
    "hold": (
        Move(0.0, scene(until_it_gives_up), QUICK), Move(3.0, scene(until_it_gives_up), QUICK),
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
def test_without_a_change_nothing_differs(observe: Callable[[AttentionScene], Any]) -> None:
    check_steady(scene(observe), QUICK)
