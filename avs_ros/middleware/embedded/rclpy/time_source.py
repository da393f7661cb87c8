"""Simulated time: ``/clock`` drives the node's clock while ``use_sim_time`` is true."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..interfaces import get_message
from .callback_groups import MutuallyExclusiveCallbackGroup
from .clock import ROSClock
from .clock_type import ClockType
from .parameter import Parameter
from .qos import QoSProfile, ReliabilityPolicy
from .time import Time

if TYPE_CHECKING:
    from .node import Node

CLOCK_TOPIC = "/clock"
USE_SIM_TIME_NAME = "use_sim_time"


class TimeSource:
    """Declares ``use_sim_time`` on its node and keeps the attached clocks on time."""

    def __init__(self, *, node: Node | None = None) -> None:
        self._node: weakref.ref[Node] | None = None
        self._clocks: list[ROSClock] = []
        self._subscription: Any = None
        self._group = MutuallyExclusiveCallbackGroup()
        self._last_time = Time(clock_type=ClockType.ROS_TIME)
        self._active = False
        if node is not None:
            self.attach_node(node)

    @property
    def ros_time_is_active(self) -> bool:
        """Whether time is simulated; setting it (un)subscribes ``/clock``."""
        return self._active

    @ros_time_is_active.setter
    def ros_time_is_active(self, enabled: bool) -> None:
        if self._active == enabled:
            return
        self._active = enabled
        for clock in self._clocks:
            clock._set_ros_time_is_active(enabled)
        node = self._node() if self._node is not None else None
        if node is None:
            return
        if enabled:
            # In a group of its own, so that a long callback of the node does not stop time.
            self._subscription = node.create_subscription(
                get_message("rosgraph_msgs/msg/Clock"), CLOCK_TOPIC, self.clock_callback,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
                callback_group=self._group,
            )
        elif self._subscription is not None:
            node.destroy_subscription(self._subscription)
            self._subscription = None

    def attach_node(self, node: Node) -> None:
        """Follow the parameter ``use_sim_time`` of ``node``."""
        self._node = weakref.ref(node)
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        parameter = node.get_parameter(USE_SIM_TIME_NAME)
        if parameter.type_ == Parameter.Type.BOOL:
            self.ros_time_is_active = parameter.value
        else:
            node.get_logger().error(
                f"Invalid type for parameter '{USE_SIM_TIME_NAME}' "
                f"{parameter.type_!r} should be bool"
            )
        node.add_on_set_parameters_callback(self._on_set_parameters)

    def detach_node(self) -> None:
        """Follow nobody's parameter and clock topic any more."""
        node = self._node() if self._node is not None else None
        if self._subscription is not None and node is not None:
            node.destroy_subscription(self._subscription)
        self._subscription = None
        self._node = None

    def attach_clock(self, clock: ROSClock) -> None:
        """Keep this clock on time; raises ``ValueError`` unless it shows ROS time."""
        if not isinstance(clock, ROSClock):
            raise ValueError("Only clocks with type ROS_TIME can be attached.")
        clock.set_ros_time_override(self._last_time)
        clock._set_ros_time_is_active(self._active)
        self._clocks.append(clock)

    def clock_callback(self, msg: Any) -> None:
        """Set every attached clock to what ``/clock`` says."""
        self._last_time = Time.from_msg(msg.clock)
        for clock in self._clocks:
            clock.set_ros_time_override(self._last_time)

    def _on_set_parameters(self, parameter_list: list[Parameter]) -> Any:
        result = get_message("rcl_interfaces/msg/SetParametersResult")(successful=True)
        for parameter in parameter_list:
            if parameter.name != USE_SIM_TIME_NAME:
                continue
            if parameter.type_ == Parameter.Type.BOOL:
                self.ros_time_is_active = parameter.value
            else:
                result.successful = False
                result.reason = f"{USE_SIM_TIME_NAME} parameter set to something besides a bool"
        return result
