"""Directions as messages: a ray in the optical frame, and its bearing."""

from __future__ import annotations

import math

from avs_ros.conversions.message_types import Message, MessageTypes

Ray = tuple[float, float, float]


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
