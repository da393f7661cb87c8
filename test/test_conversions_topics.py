"""The one table of topics that tell an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from avs_ros.conversions import topics as table
from avs_ros.conversions.camera import make_camera_info, read_camera_info
from avs_ros.conversions.messages import MessageTypes, make_header
from avs_ros.conversions.topics import ANSWER_TOPICS, Output, messages
from avs_ros.media.bag_types import BAG, serialize
from avs_ros.segmentation import Instance, Segmentation

RGB = np.full((48, 64, 3), 90, np.uint8)
MADE = {topic.name for topic in ANSWER_TOPICS if topic.make}


def answer(types: MessageTypes = BAG, point: tuple[float, float] | None = (30.0, 20.0),
           camera: bool = True) -> Output:
    label_map = np.zeros((48, 64), np.uint8)
    label_map[10:30, 20:40] = 1
    segmentation = Segmentation(
        7_000_000_000, 64, 48, True, 0.9, "lamp", "Buzz", 0.8,
        (Instance(1, "lamp", 0.9, (20.0, 10.0, 40.0, 30.0), 400),), point, 0.13,
        label_map.astype(np.float32), label_map,
        ms={"decode": 1.0, "model": 3.0, "step": 4.0, "postprocess": 0.5},
    )
    header = make_header(types, 7_000_000_000, "camera")
    model = read_camera_info(make_camera_info(BAG, header, 64, 48, 1.0)) if camera else None
    return Output(segmentation, RGB, header, model, 12.0, 3.0)


def made(types: MessageTypes, **changes: Any) -> dict[str, Any]:
    found = messages(types, answer(types, **changes), lambda topic: True)
    return {topic.name: message for topic, message in found}


def test_every_row_makes_the_message_that_it_declares() -> None:
    found = made(BAG)
    assert found.keys() == MADE
    for topic in ANSWER_TOPICS:
        if topic.name in found:
            serialize(found[topic.name], topic.type_name)  # raises for another type's fields
            assert found[topic.name].__msgtype__ == topic.type_name
    assert found["~/debug/processing_ms"].data == 5.5
    assert found["~/debug/latency_ms"].data == 12.0
    assert found["~/debug/sync_error_ms"].data == 3.0
    assert found["~/mask"].header.frame_id == "camera"


def test_an_installed_ros_gets_its_own_messages() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not installed here: run make")
    from avs_ros.nodes.message_types import ROS

    found = made(ROS)
    assert found.keys() == MADE
    for topic in ANSWER_TOPICS:
        if topic.name in found:
            assert isinstance(found[topic.name], ROS(topic.type_name))


def test_there_is_no_ray_without_a_point_or_a_calibration() -> None:
    for changes in ({"point": None}, {"camera": False}):
        assert made(BAG, **changes).keys() == MADE - {"~/attention"}


def test_only_what_is_wanted_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(table, "draw_overlay", lambda rgb, _: drawn.append(1) or rgb)
    one = answer()
    assert list(messages(BAG, one, lambda topic: False)) == []
    assert [topic.name for topic, _ in messages(
        BAG, one, lambda topic: topic.name == "~/mask")] == ["~/mask"]
    assert not drawn
    names = [topic.name for topic, _ in messages(
        BAG, one, lambda topic: topic.name.startswith("~/overlay"))]
    assert names == ["~/overlay", "~/overlay/compressed"]
    assert len(drawn) == 1, "one drawing serves both"
