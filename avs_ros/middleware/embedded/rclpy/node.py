"""``Node``: what everything of a ROS program hangs on."""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..discovery import NodeName
from ..interfaces import get_message
from . import arguments, logging_output
from .clock import Clock, ROSClock
from .context import Context
from .duration import Duration
from .endpoint_creation import EndpointCreationMixin
from .exceptions import InvalidHandle, NotInitializedException, RCLError, needs_ros
from .executors import Executor
from .graph_queries import GraphQueriesMixin
from .logging import RcutilsLogger, get_logger, node_logger_name
from .names import (
    expand_topic_name,
    validate_full_topic_name,
    validate_namespace,
    validate_node_name,
    validate_topic_name,
)
from .parameter import Parameter
from .parameter_node import ParameterNodeMixin
from .parameter_service import ParameterService
from .publisher import Publisher
from .qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from .time_source import TimeSource
from .utilities import get_default_context

_ROSOUT_QOS = QoSProfile(
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
    lifespan=Duration(seconds=10),
)


class _RosoutPublisher:
    """Publishes log messages; at the end of a node, logging goes on without it."""

    def __init__(self, publisher: Publisher) -> None:
        self.msg_type = publisher.msg_type
        self._publisher = publisher

    def publish(self, message: Any) -> None:
        with contextlib.suppress(RCLError, InvalidHandle):
            self._publisher.publish(message)


class Node(EndpointCreationMixin, ParameterNodeMixin, GraphQueriesMixin):
    """A named participant of the graph with parameters, a clock, a logger and endpoints."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: Sequence[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: Sequence[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
        enable_logger_service: bool = False,
    ) -> None:
        """Create and announce the node.

        ``cli_args`` are arguments for this node alone (``["--ros-args", "-r", "a:=b"]``);
        ``namespace`` prefixes relative names; ``use_global_arguments`` obeys the process's
        arguments too.  Raises ``NotInitializedException`` before ``rclpy.init()``,
        ``InvalidNodeNameException`` and ``InvalidNamespaceException``.
        """
        self._context = get_default_context() if context is None else context
        if not self._context.ok():
            raise NotInitializedException("cannot create node")
        if enable_logger_service:
            raise needs_ros("The logger service (enable_logger_service)")
        self._init_entities()
        self._executor: weakref.ref[Executor] | None = None
        self._destroyed = False
        self._rosout: _RosoutPublisher | None = None
        self._local = arguments.parse_arguments(
            None if cli_args is None else ["--ros-args", *_without_scope(cli_args)]
        )
        self._local.check_unknown()
        self._global = self._context.arguments if use_global_arguments else None
        self._name, self._namespace = self._checked_name(node_name, namespace or "")
        self._logger = get_logger(node_logger_name(self._name, self._namespace))
        self._clock = ROSClock()
        self._graph_key = self._context.graph.add_node(NodeName(self._namespace, self._name))
        try:
            if enable_rosout:
                self._start_rosout()
            self._init_parameters(
                parameter_overrides=[*self._argument_overrides(), *(parameter_overrides or ())],
                allow_undeclared_parameters=allow_undeclared_parameters,
                automatically_declare_parameters_from_overrides=(
                    automatically_declare_parameters_from_overrides
                ),
            )
            self._time_source = TimeSource(node=self)
            self._time_source.attach_clock(self._clock)
            if start_parameter_services:
                self._parameter_service = ParameterService(self)
        except BaseException:
            # A node that could not be made must not stay announced.
            # The subclass has nothing of its own to take down yet.
            Node.destroy_node(self)
            raise

    def _start_rosout(self) -> None:
        publisher = self.create_publisher(
            get_message("rcl_interfaces/msg/Log"), "/rosout", copy.copy(_ROSOUT_QOS)
        )
        self._rosout = _RosoutPublisher(publisher)
        logging_output.attach_rosout(self._logger.name, self._rosout)
        self._context.on_shutdown(self._detach_rosout)

    def _argument_overrides(self) -> list[Parameter]:
        values = arguments.parameter_overrides(
            self.get_fully_qualified_name(), self._local, self._global
        )
        return [Parameter(name, value=value) for name, value in values.items()]

    def _checked_name(self, name: str, namespace: str) -> tuple[str, str]:
        validate_node_name(name)
        if not namespace.startswith("/"):
            namespace = "/" + namespace
        validate_namespace(namespace)
        name, namespace = arguments.resolve_node_name(name, namespace, self._local, self._global)
        validate_node_name(name)
        validate_namespace(namespace)
        return name, namespace

    # --- what it is ------------------------------------------------------------------------------

    @property
    def executor(self) -> Executor | None:
        """The executor that runs this node's callbacks."""
        return self._executor() if self._executor is not None else None

    @executor.setter
    def executor(self, new_executor: Executor | None) -> None:
        current = self.executor
        if current is new_executor:
            return
        if current is not None:
            current.remove_node(self)
        if new_executor is None:
            self._executor = None
        else:
            self._executor = weakref.ref(new_executor)
            new_executor.add_node(self)

    def _wake_executor(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.wake()

    @property
    def context(self) -> Context:
        """The context the node lives in."""
        return self._context

    @property
    def handle(self) -> Node:
        """The node itself: there is no C object below it."""
        return self

    def get_name(self) -> str:
        """Give the node's name after remapping."""
        return self._name

    def get_namespace(self) -> str:
        """Give the node's absolute namespace after remapping."""
        return self._namespace

    def get_fully_qualified_name(self) -> str:
        """Give namespace and name in one, ``/robot/camera``."""
        return f"{self._namespace.rstrip('/')}/{self._name}"

    def get_clock(self) -> Clock:
        """Give the node's clock: ROS time, simulated while ``use_sim_time`` is true."""
        return self._clock

    def get_logger(self) -> RcutilsLogger:
        """Give the node's logger."""
        return self._logger

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Give the absolute name of a topic, remapped unless ``only_expand``."""
        return self._resolve(topic, arguments.resolve_topic_name, False, only_expand)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Give the absolute name of a service, remapped unless ``only_expand``."""
        return self._resolve(service, arguments.resolve_service_name, True, only_expand)

    def _resolve(
        self, name: str, remap: Callable[..., str], is_service: bool, only_expand: bool
    ) -> str:
        validate_topic_name(name, is_service=is_service)
        full = expand_topic_name(name, self._name, self._namespace)
        if not only_expand:
            full = remap(full, self._name, self._namespace, self._local, self._global)
        validate_full_topic_name(full, is_service=is_service)
        return full

    # --- the end ---------------------------------------------------------------------------------

    def destroy_node(self) -> None:
        """End the node and everything it has; a second call does nothing."""
        if self._destroyed:
            return
        self._destroyed = True
        if self._context.ok():
            self._graph.remove_node(self._graph_key)
        self._detach_rosout()
        self._destroy_entities()
        executor = self.executor
        if executor is not None:
            executor.remove_node(self)

    def _detach_rosout(self) -> None:
        if self._rosout is not None:
            logging_output.detach_rosout(self._logger.name, self._rosout)


def _without_scope(cli_args: Sequence[str]) -> list[str]:
    # "--ros-args" may be given or not: the arguments of a node are ROS's anyway.
    return [one for one in cli_args if one != "--ros-args"]
