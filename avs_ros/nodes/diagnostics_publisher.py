"""Publishes a :class:`DiagnosticsPage` at a steady pace, in every lifecycle state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avs_ros.conversions import make_diagnostics, make_header, make_status
from avs_ros.middleware import get_message
from avs_ros.nodes.diagnostics import DiagnosticsPage, StreamState
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.topics import DIAGNOSTICS, qos_of


class DiagnosticsPublisher:
    """A timer, a page and a publisher on /diagnostics."""

    def __init__(
        self, node: Any, period_s: float, collect: Callable[[], StreamState], group: Any,
        clock: Any,
    ) -> None:
        """Publish what ``collect()`` says every ``period_s`` seconds of ``clock``."""
        self._clock = node.get_clock()
        self._collect = collect
        self._page = DiagnosticsPage(node.get_name())
        self._publisher = node.create_publisher(
            get_message(DIAGNOSTICS.type_name), DIAGNOSTICS.name, qos_of(DIAGNOSTICS)
        )
        node.create_timer(period_s, self._publish, callback_group=group, clock=clock)

    def _publish(self) -> None:
        statuses = [
            make_status(ROS, status.name, status.level, status.message, status.values)
            for status in self._page.write(self._collect())
        ]
        header = make_header(ROS, self._clock.now().nanoseconds)
        self._publisher.publish(make_diagnostics(ROS, header, statuses))
