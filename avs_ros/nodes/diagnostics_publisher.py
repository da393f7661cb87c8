"""Publishes a node's statuses on /diagnostics at a steady pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from avs_ros.conversions.messages import make_diagnostics, make_header, make_status
from avs_ros.conversions.topics import DIAGNOSTICS
from avs_ros.nodes.diagnostics import Status
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.topics import qos_of


class DiagnosticsPublisher:
    """A timer and a publisher on /diagnostics."""

    def __init__(
        self, node: Node, write: Callable[[], Sequence[Status]], period_s: float = 1.0,
        group: CallbackGroup | None = None,
    ) -> None:
        """Publish what ``write()`` says every ``period_s`` seconds, whatever /clock does."""
        self._node = node
        self._write = write
        self._publisher = node.create_publisher(
            ROS(DIAGNOSTICS.type_name), DIAGNOSTICS.name, qos_of(DIAGNOSTICS)
        )
        # A steady clock: with use_sim_time and no /clock yet, ROS time stands still.
        node.create_timer(
            period_s, self._publish, callback_group=group,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _publish(self) -> None:
        statuses = [
            make_status(ROS, one.name, one.level, one.message, one.values, one.hardware_id)
            for one in self._write()
        ]
        header = make_header(ROS, self._node.get_clock().now().nanoseconds)
        self._publisher.publish(make_diagnostics(ROS, header, statuses))
