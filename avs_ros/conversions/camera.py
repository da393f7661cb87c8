"""``sensor_msgs/CameraInfo`` <-> a camera model, pixels -> rays, and rays as messages.

Frames follow REP 103: the optical frame has x to the right, y down, z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avs_ros.conversions.messages import MalformedImage, Message, MessageTypes

Ray = tuple[float, float, float]
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_PINHOLE = ("plumb_bob", "rational_polynomial", "")
_FISHEYE = ("equidistant", "fisheye")
# What OpenCV takes.
_PINHOLE_LENGTHS, _FISHEYE_LENGTHS = (4, 5, 8, 12, 14), (4,)


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of the image as it is published (binning and region of interest applied).

    ``k``: float64 ``[3, 3]``, pixels; ``distortion``: float64 ``[n]`` in OpenCV's order;
    ``fisheye``: equidistant model; ``size``: width, height in pixels.
    """

    k: NDArray[np.float64]
    distortion: NDArray[np.float64]
    fisheye: bool
    size: tuple[int, int]

    def ray(self, point: tuple[float, float], size: tuple[int, int] | None = None) -> Ray:
        """Pixel -> unit vector in the optical frame.

        ``point``: [x, y] with the origin at the outer corner of the first pixel (as in
        :class:`~avs_ros.segmentation.Segmentation`); ``size``: the image's width and height if
        it was resized after the camera.
        """
        width, height = size or self.size
        # CameraInfo counts from the first pixel's centre.
        u = point[0] * self.size[0] / width - 0.5
        v = point[1] * self.size[1] / height - 0.5
        pixel = np.array([[[u, v]]], dtype=np.float64)
        if self.fisheye:
            flat = cv2.fisheye.undistortPoints(pixel, self.k, self.distortion)
        else:
            flat = cv2.undistortPoints(pixel, self.k, self.distortion)
        x, y = (float(value) for value in np.asarray(flat).reshape(2))
        norm = math.sqrt(x * x + y * y + 1.0)
        return x / norm, y / norm, 1.0 / norm


def read_camera_info(msg: Message, rectified: bool = False) -> CameraModel:
    """``sensor_msgs/CameraInfo`` -> :class:`CameraModel`.

    ``rectified``: the image is an ``image_rect`` (P and no distortion instead of K and D).
    Raises :class:`MalformedImage` with reason ``camera_uncalibrated`` (K or P is zero or not
    finite) or ``camera_distortion`` (unknown model, a number of coefficients that it does not
    have, or coefficients that cannot be undone).
    """
    if rectified:
        k = np.array(msg.p, dtype=np.float64).reshape(3, 4)[:, :3].copy()
        distortion = np.zeros(0)
    else:
        k = np.array(msg.k, dtype=np.float64).reshape(3, 3)
        distortion = np.array(msg.d, dtype=np.float64).reshape(-1)
    if not np.isfinite(k).all() or not np.isfinite(distortion).all() or k[0, 0] * k[1, 1] == 0:
        raise MalformedImage(
            "camera_uncalibrated",
            "camera_info without a calibration (focal length 0 or not finite): calibrate the "
            "camera or correct its camera_info file",
        )
    fisheye = msg.distortion_model in _FISHEYE
    if not fisheye and distortion.size and msg.distortion_model not in _PINHOLE:
        raise MalformedImage(
            "camera_distortion",
            f"distortion model {msg.distortion_model!r}: expected plumb_bob, rational_polynomial "
            "or equidistant; publish a rectified image instead",
        )
    if not distortion.any():
        distortion = np.zeros(4)
    lengths = _FISHEYE_LENGTHS if fisheye else _PINHOLE_LENGTHS
    if distortion.size not in lengths:
        raise MalformedImage(
            "camera_distortion",
            f"camera_info with {distortion.size} distortion coefficients: "
            f"{msg.distortion_model or 'plumb_bob'} has {', '.join(map(str, lengths))}; correct "
            "the calibration file",
        )
    width, height = int(msg.roi.width) or int(msg.width), int(msg.roi.height) or int(msg.height)
    bin_x, bin_y = max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)
    if width < 1 or height < 1:
        raise MalformedImage("camera_uncalibrated", "camera_info with size 0")
    k[0, 2] -= float(msg.roi.x_offset)
    k[1, 2] -= float(msg.roi.y_offset)
    k[0] /= bin_x
    k[1] /= bin_y
    camera = CameraModel(k, distortion, fisheye, (width // bin_x, height // bin_y))
    try:
        usable = bool(np.isfinite(camera.ray((width / 2, height / 2), (width, height))).all())
    except cv2.error:
        usable = False
    if not usable:
        raise MalformedImage(
            "camera_distortion", "camera_info whose distortion OpenCV cannot undo: calibrate anew"
        )
    return camera


def make_camera_info(
    types: MessageTypes, header: Message, width: int, height: int, horizontal_fov: float
) -> Message:
    """``sensor_msgs/CameraInfo`` of an ideal pinhole camera.

    ``horizontal_fov`` in radians, 0..pi; the principal point is the image's middle.
    """
    focal = width / 2 / math.tan(horizontal_fov / 2)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return types(CAMERA_INFO)(
        header=header, width=width, height=height, distortion_model="plumb_bob",
        d=types.array(np.zeros(5)),
        k=np.array([focal, 0, cx, 0, focal, cy, 0, 0, 1], dtype=np.float64),
        r=np.array([1, 0, 0, 0, 1, 0, 0, 0, 1], dtype=np.float64),
        p=np.array([focal, 0, cx, 0, 0, focal, cy, 0, 0, 0, 1, 0], dtype=np.float64),
    )


def copy_camera_info(types: MessageTypes, header: Message, recorded: Message) -> Message:
    """Any ``CameraInfo`` (a bag's, say) as a message of ``types``, with another ``header``."""
    msg = types(CAMERA_INFO)(header=header)
    for name in ("height", "width", "distortion_model", "binning_x", "binning_y"):
        setattr(msg, name, getattr(recorded, name))
    msg.d = types.array(np.array(recorded.d, dtype=np.float64))
    for name in ("k", "r", "p"):
        setattr(msg, name, np.array(getattr(recorded, name), dtype=np.float64))
    for name in ("x_offset", "y_offset", "height", "width", "do_rectify"):
        setattr(msg.roi, name, getattr(recorded.roi, name))
    return msg


def make_ray(types: MessageTypes, header: Message, ray: Ray) -> Message:
    """Unit vector in the optical frame -> ``geometry_msgs/PointStamped`` (1 m along the ray)."""
    msg = types("geometry_msgs/msg/PointStamped")(header=header)
    msg.point.x, msg.point.y, msg.point.z = (float(value) for value in ray)
    return msg


def read_ray(msg: Message) -> Ray:
    """``geometry_msgs/PointStamped`` -> x, y, z."""
    return float(msg.point.x), float(msg.point.y), float(msg.point.z)


def make_ray_pose(types: MessageTypes, header: Message, ray: Ray) -> Message:
    """Ray -> ``geometry_msgs/PoseStamped``: at the camera, the x axis along the ray.

    RViz and Foxglove draw a pose as an arrow along its x axis.
    """
    x, y, z = ray
    msg = types("geometry_msgs/msg/PoseStamped")(header=header)
    turn = msg.pose.orientation
    # The shortest turn from (1, 0, 0) to the ray: axis (0, -z, y), half-angle formula.
    scale = math.sqrt(2.0 * (1.0 + x)) if x > -1.0 + 1e-9 else 0.0
    if scale:
        turn.w, turn.x, turn.y, turn.z = scale / 2.0, 0.0, -z / scale, y / scale
    else:
        turn.w, turn.x, turn.y, turn.z = 0.0, 0.0, 0.0, 1.0
    return msg


def bearing(ray: Ray) -> tuple[float, float]:
    """Ray in the optical frame (x right, y down, z forward) -> azimuth, elevation in radians.

    Signs follow REP 103: azimuth is positive to the left, elevation positive upwards.
    """
    x, y, z = ray
    return math.atan2(-x, z), math.atan2(-y, math.hypot(x, z))


def make_bearing(types: MessageTypes, header: Message, ray: Ray) -> Message:
    """Ray -> ``geometry_msgs/Vector3Stamped``: x = azimuth, y = elevation (rad), z = 0."""
    msg = types("geometry_msgs/msg/Vector3Stamped")(header=header)
    msg.vector.x, msg.vector.y = bearing(ray)
    return msg
