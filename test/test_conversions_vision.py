"""Detections, labels, camera models, rays and bearings."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from avs_ros.conversions.camera import (
    bearing,
    copy_camera_info,
    make_bearing,
    make_camera_info,
    make_ray,
    read_camera_info,
    read_ray,
)
from avs_ros.conversions.detections import make_detections, make_label_info, read_detections
from avs_ros.conversions.messages import (
    ERROR,
    MalformedImage,
    Status,
    make_diagnostics,
    make_header,
    stamp_to_ns,
)
from avs_ros.media.bag_types import BAG
from avs_ros.segmentation import Instance, Segmentation

HEADER = make_header(BAG, 5_000_000_001, "camera_optical_frame")


def segmentation(*instances: Instance) -> Segmentation:
    empty = np.zeros((4, 4), np.uint8)
    return Segmentation(1, 640, 480, bool(instances), 0.5, "", "", 0.0, instances, None, 0.0,
                        empty.astype(np.float32), empty)


def test_stamps_keep_every_nanosecond() -> None:
    for stamp_ns in (0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_999_999_999):
        assert stamp_to_ns(make_header(BAG, stamp_ns).stamp) == stamp_ns


def test_detections_name_their_instance_and_keep_the_header() -> None:
    cello = Instance(3, "cello", 0.75, (10, 20, 50, 100), 9)
    msg = make_detections(BAG, HEADER, segmentation(cello))
    assert stamp_to_ns(msg.header.stamp) == 5_000_000_001
    detection = msg.detections[0]
    assert detection.id == "3" and detection.header.frame_id == "camera_optical_frame"
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (30.0, 60.0)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (40.0, 80.0)
    assert detection.results[0].hypothesis.class_id == "cello"
    back = read_detections(msg)[0]
    assert (back.index, back.label, back.score) == (3, "cello", 0.75)
    assert back.center == (30.0, 60.0) and back.area == 3200.0
    assert make_detections(BAG, HEADER, segmentation()).detections == []


def test_foreign_detections_are_read_too() -> None:
    msg = make_detections(BAG, HEADER, segmentation(Instance(1, "a", 0.1, (0, 0, 2, 2), 4)))
    result = BAG("vision_msgs/msg/ObjectHypothesisWithPose")
    better = result()
    better.hypothesis.class_id, better.hypothesis.score = "b", 0.9
    msg.detections[0].results = [msg.detections[0].results[0], better]
    msg.detections[0].id = "track-7"
    assert [(one.index, one.label) for one in read_detections(msg)] == [(0, "b")]
    msg.detections[0].results = []
    assert [(one.label, one.score) for one in read_detections(msg)] == [("", 0.0)]


def test_label_info_lists_the_vocabulary() -> None:
    msg = make_label_info(BAG, HEADER, ["tabby", "drum"], 0.25)
    assert [(one.class_id, one.class_name) for one in msg.class_map] == [(0, "tabby"), (1, "drum")]
    assert msg.threshold == 0.25
    long = make_label_info(BAG, HEADER, [str(i) for i in range(70000)], 0.5)
    assert long.class_map[-1].class_id == 65534  # 65535 means unlabeled


def test_a_level_is_a_byte() -> None:
    assert make_diagnostics(BAG, 1, [Status("n", ERROR, "m")]).status[0].level == 2


def test_ideal_camera_looks_along_its_axis() -> None:
    camera = read_camera_info(make_camera_info(BAG, HEADER, 640, 480, math.radians(90)))
    assert camera.size == (640, 480)
    assert camera.ray((320.0, 240.0)) == pytest.approx((0.0, 0.0, 1.0), abs=1e-9)
    # The outer edge of a 90 degree image is 45 degrees off the axis.
    x, y, z = camera.ray((640.0, 240.0))
    assert math.degrees(math.atan2(x, z)) == pytest.approx(45.0, abs=1e-6)
    assert y == pytest.approx(0.0, abs=1e-9)
    assert x * x + y * y + z * z == pytest.approx(1.0)
    # An image that was halved after the camera: the same direction at half the pixel.
    assert camera.ray((160.0, 120.0), (320, 240)) == pytest.approx(
        camera.ray((320.0, 240.0)), abs=2e-3)


@pytest.mark.parametrize(
    ("model", "distortion"),
    [("plumb_bob", [-0.3, 0.1, 0.001, -0.002, 0.01]),
     ("rational_polynomial", [-0.2, 0.05, 0.001, 0.001, 0.01, 0.1, 0.02, 0.001]),
     ("equidistant", [0.02, -0.01, 0.003, -0.001])],
)
def test_distortion_is_undone(model: str, distortion: list[float]) -> None:
    info = make_camera_info(BAG, HEADER, 640, 480, 1.3)
    info.distortion_model, info.d = model, np.array(distortion)
    point = np.array([[[0.3, -0.2, 1.0]]])
    k = np.array(info.k).reshape(3, 3)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    if model == "equidistant":
        pixel = project(point, np.zeros(3), np.zeros(3), k, np.array(distortion))[0]
    else:
        pixel = project(point, np.zeros(3), np.zeros(3), k, np.array(distortion))[0]
    u, v = pixel.reshape(2) + 0.5
    ray = np.array(read_camera_info(info).ray((u, v)))
    assert ray == pytest.approx(point.reshape(3) / np.linalg.norm(point), abs=1e-4)


def test_rectified_images_use_the_projection_matrix() -> None:
    info = make_camera_info(BAG, HEADER, 640, 480, 1.3)
    info.d = [-0.5, 0.2, 0.0, 0.0, 0.0]
    info.p = np.array([100.0, 0, 319.5, 0, 0, 100.0, 239.5, 0, 0, 0, 1, 0])
    x, _, z = read_camera_info(info, rectified=True).ray((420.0, 240.0))
    assert x / z == pytest.approx(1.0)


def test_binning_and_region_of_interest() -> None:
    full = read_camera_info(make_camera_info(BAG, HEADER, 640, 480, 1.2))
    info = make_camera_info(BAG, HEADER, 640, 480, 1.2)
    info.binning_x = info.binning_y = 2
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 200, 160
    part = read_camera_info(info)
    assert part.size == (100, 80)
    # Pixel (30, 25) of the binned region is pixel (160, 90) of the full image.
    assert part.ray((30.0, 25.0)) == pytest.approx(full.ray((160.0, 90.0)), abs=2e-3)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("camera_uncalibrated", lambda info: setattr(info, "k", np.zeros(9))),
        ("camera_uncalibrated", lambda info: setattr(info, "k", np.full(9, np.nan))),
        ("camera_uncalibrated", lambda info: setattr(info, "width", 0)),
        ("camera_distortion", lambda info: setattr(info, "distortion_model", "kannala_9")),
    ],
)
def test_unusable_calibrations_are_refused(reason: str, change: object) -> None:
    info = make_camera_info(BAG, HEADER, 640, 480, 1.2)
    change(info)  # type: ignore[operator]
    with pytest.raises(MalformedImage) as caught:
        read_camera_info(info)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("model", "fits"), [
    ("plumb_bob", (0, 4, 5, 8, 12, 14)), ("rational_polynomial", (0, 4, 5, 8, 12, 14)),
    ("", (0, 4, 5, 8, 12, 14)), ("equidistant", (0, 4)),
])
def test_every_number_of_distortion_coefficients(model: str, fits: tuple[int, ...]) -> None:
    for number in range(20):
        info = make_camera_info(BAG, HEADER, 640, 480, 1.2)
        info.distortion_model, info.d = model, np.full(number, 0.01)
        if number in fits:
            assert np.isfinite(read_camera_info(info).ray((10.0, 20.0))).all()
            continue
        with pytest.raises(MalformedImage, match=f"{number} distortion") as caught:
            read_camera_info(info)
        assert caught.value.reason == "camera_distortion"
        info.d = np.zeros(number)  # says that there is none, in its own way
        assert read_camera_info(info).ray((320.0, 240.0))[2] > 0.99


def test_camera_info_is_copied_with_another_header() -> None:
    info = make_camera_info(BAG, HEADER, 640, 480, 1.2)
    info.roi.x_offset, info.roi.do_rectify = 5, True
    copy = copy_camera_info(BAG, make_header(BAG, 9, "other"), info)
    assert copy.header.frame_id == "other" and copy.roi.x_offset == 5 and copy.roi.do_rectify
    assert list(copy.k) == list(info.k) and list(copy.p) == list(info.p)


def test_bearings_follow_rep_103() -> None:
    left_up = (-0.5, -0.5, math.sqrt(0.5))
    azimuth, elevation = bearing(left_up)
    assert azimuth > 0 and elevation > 0
    assert bearing((0.0, 0.0, 1.0)) == (0.0, 0.0)
    assert bearing((1.0, 0.0, 0.0))[0] == pytest.approx(-math.pi / 2)
    msg = make_bearing(BAG, HEADER, left_up)
    assert (msg.vector.x, msg.vector.y, msg.vector.z) == (azimuth, elevation, 0.0)
    assert read_ray(make_ray(BAG, HEADER, left_up)) == left_up
