"""A node's parameters, declared from its table, read in one place and guarded against misuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer

from avs_ros.conversions.topics import Topic
from avs_ros.errors import AvsError
from avs_ros.nodes.message_types import ROS
from avs_ros.nodes.parameters import TABLES, Change, ParameterSpec, Value
from avs_ros.nodes.topics import TOPICS, qos_profile


class BaseNode(Node):
    """What every node here is: whole or not there at all, and takes its own dump back.

    :attr:`TABLE` is its name, in the tables of parameters and topics too; ``_settings`` holds the
    latest value of each parameter.  rclpy refuses every write to a read-only parameter, even of
    the value that it has; `ros2 param load` of a node's own dump would report failures for
    nothing.
    """

    TABLE = ""

    def __init__(self, node_name: str = "", **options: Any) -> None:
        """Declare the parameters, then :meth:`_set_up`; ``options`` go to ``rclpy.node.Node``.

        Raises :class:`ParameterError` for a start value out of range.
        """
        super().__init__(node_name or self.TABLE, **options)
        try:
            self._settings: dict[str, Any] = {}
            self._table = {spec.name: spec for spec in TABLES[self.TABLE]}
            for spec in self._table.values():
                value = _plain(self.declare_parameter(spec.name, spec.default, _descriptor(spec)))
                spec.check(value)
                self._settings[spec.name] = value
            self.add_on_set_parameters_callback(self._on_set)
            self._set_up()
        except BaseException:
            # A node that could not be made must not stay on the graph.  rclpy's own: what the node
            # itself would free is not there yet.
            super().destroy_node()
            raise

    def _set_up(self) -> None:
        """Make what the node needs, with its parameters declared."""

    def apply_settings(self, values: Mapping[str, Any]) -> None:
        """Take over changed parameters (all ``values``, the new ones included).

        An :class:`AvsError` that it raises refuses the change with its text.
        """

    @property
    def configured(self) -> bool:
        """Whether parameters that are fixed by configure may no longer change."""
        return False

    @property
    def topics(self) -> dict[str, Topic]:
        """The rows of the table of topics on which it publishes, by name."""
        return {topic.name: topic for topic in TOPICS[self.TABLE]["publishes"]}

    def topic_options(self, topic: Topic) -> dict[str, Any]:
        """Quality of service of a publisher on ``topic``, which users may override."""
        quality = self._settings.get(topic.quality, topic.quality)
        return {
            "qos_profile": qos_profile(quality, topic.depth),
            # History, depth and reliability, by qos_overrides.<topic>.publisher.…
            "qos_overriding_options": QoSOverridingOptions.with_default_policies(),
        }

    def publisher(self, topic: Topic, name: str = "", type_name: str = "") -> Publisher:
        """A publisher on ``topic``; ``name`` and ``type_name`` where the table's are not it."""
        kind = ROS(type_name or topic.type_name)
        return self.create_publisher(kind, name or topic.name, **self.topic_options(topic))

    def now_ns(self) -> int:
        """The node's time (ns); 0 until /clock speaks, where it goes by that."""
        return int(self.get_clock().now().nanoseconds)

    def steady_timer(
        self, period_s: float, callback: Callable[[], None], group: CallbackGroup | None = None
    ) -> Timer:
        """A timer that runs whatever /clock does: until it speaks, ROS time stands still."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self.create_timer(period_s, callback, callback_group=group, clock=clock)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, with nothing to do for parameters that have their value already."""
        changed = [one for one in parameter_list if not self._holds(one)]
        if parameter_list and not changed:
            return SetParametersResult(successful=True)
        return super().set_parameters_atomically(changed)

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        """Check, apply, then accept; names outside the table are somebody else's."""
        changed: dict[str, Value] = {}
        try:
            for parameter in parameters:
                spec = self._table.get(parameter.name)
                if spec is None:
                    continue
                changed[spec.name] = value = _plain(parameter)
                spec.check(value)
                if spec.change is Change.UNCONFIGURED and self.configured:
                    return SetParametersResult(
                        successful=False,
                        reason=f"{spec.name} is fixed by configure: clean the node up first "
                        "(`ros2 lifecycle set <node> deactivate`, then `cleanup`)",
                    )
            if changed:
                self.apply_settings({**self._settings, **changed})
        except AvsError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._settings.update(changed)
        return SetParametersResult(successful=True)

    def _holds(self, parameter: Parameter) -> bool:
        if not self.has_parameter(parameter.name):
            return False
        held = self.get_parameter_or(parameter.name, Parameter(parameter.name))
        return bool(held.type_ == parameter.type_ and _plain(held) == _plain(parameter))


def _plain(parameter: Parameter) -> Any:
    """The value; rclpy hands arrays back as list, array or tuple, depending on the release."""
    value = parameter.value
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """``rcl_interfaces/ParameterDescriptor`` of one row of the table."""
    descriptor = ParameterDescriptor(
        description=f"{spec.description} Change: {spec.change.value}.",
        additional_constraints=spec.constraint if spec.choices else "",
        read_only=spec.change is Change.NEVER,
    )
    low, high = spec.minimum, spec.maximum
    if low is None or high is None:
        return descriptor
    if isinstance(spec.default, float):
        bounds = FloatingPointRange(from_value=float(low), to_value=float(high))
        descriptor.floating_point_range = [bounds]
    else:
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return descriptor


def names(values: list[str]) -> tuple[str, ...]:
    """A string array without its empty entries.

    ROS 2 cannot tell an empty array's type, so `[""]` stands for an empty list.
    """
    return tuple(value for value in values if value)
