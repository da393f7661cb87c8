"""The part of rclpy that the nodes use, over DDS, for machines without ROS 2.

Same names and signatures as rclpy (Humble to Kilted); what is left out raises ``MiddlewareError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avs_ros.errors import MiddlewareError

from . import (
    callback_groups,
    client,
    clock,
    clock_type,
    constants,
    context,
    duration,
    event_handler,
    exceptions,
    executors,
    expand_topic_name,
    guard_condition,
    lifecycle,
    logging,
    node,
    parameter,
    publisher,
    qos,
    qos_event,
    qos_overriding_options,
    serialization,
    service,
    signals,
    subscription,
    task,
    time,
    time_source,
    timer,
    topic_endpoint_info,
    type_hash,
    utilities,
    validate_full_topic_name,
    validate_namespace,
    validate_node_name,
    validate_topic_name,
    wait_for_message,
)
from .context import Context
from .exceptions import needs_ros
from .executors import Executor, SingleThreadedExecutor
from .node import Node
from .parameter import Parameter
from .signals import SignalHandlerOptions, install_signal_handlers, uninstall_signal_handlers
from .task import Future
from .utilities import get_default_context, get_rmw_implementation_identifier, ok, try_shutdown


def init(
    *,
    args: Sequence[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Start the runtime in ``context`` (default: the process's).

    ``args`` default to ``sys.argv``; ``domain_id`` to ``ROS_DOMAIN_ID``.  For the default context
    SIGINT and SIGTERM are handled, unless ``signal_handler_options`` says otherwise.
    """
    default = get_default_context()
    context = default if context is None else context
    if signal_handler_options is None:
        signal_handler_options = (
            SignalHandlerOptions.ALL if context is default else SignalHandlerOptions.NO
        )
    context.init(args, domain_id=domain_id)
    install_signal_handlers(signal_handler_options)


_global_executor: Executor | None = None


def get_global_executor() -> Executor:
    """Give the executor of ``spin`` and its kin."""
    global _global_executor
    if _global_executor is None:
        _global_executor = SingleThreadedExecutor()
        get_default_context().on_shutdown(_drop_global_executor)
    return _global_executor


def _drop_global_executor() -> None:
    global _global_executor
    executor, _global_executor = _global_executor, None
    if executor is not None:
        executor.wake()


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Stop the runtime in ``context``; raises ``RuntimeError`` if it is not running."""
    of_default = context is None or context is get_default_context()
    utilities.shutdown(context=context)
    if uninstall_handlers or (uninstall_handlers is None and of_default):
        uninstall_signal_handlers()


def create_node(node_name: str, **options: Any) -> Node:
    """Make a node; the options are those of ``Node``."""
    return Node(node_name, **options)


def spin_once(
    node: Node, *, executor: Executor | None = None, timeout_sec: float | None = None
) -> None:
    """Run one callback of the node, waiting at most ``timeout_sec`` (``None``: for ever)."""
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def spin(node: Node, executor: Executor | None = None) -> None:
    """Run the node's callbacks until shutdown.

    Ctrl-C raises ``KeyboardInterrupt``, a shutdown from elsewhere ``ExternalShutdownException``.
    """
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_until_future_complete(
    node: Node,
    future: Future,
    executor: Executor | None = None,
    timeout_sec: float | None = None,
) -> None:
    """Run the node's callbacks until ``future`` is done or ``timeout_sec`` is over."""
    executor = get_global_executor() if executor is None else executor
    added = False
    try:
        added = executor.add_node(node)
        executor.spin_until_future_complete(future, timeout_sec)
    finally:
        if added:
            executor.remove_node(node)


class NotEmbeddedError(MiddlewareError, AttributeError):
    """A part of rclpy that the embedded runtime leaves out."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotEmbeddedError(str(needs_ros(f"rclpy.{name}")))


__all__ = [
    "Context",
    "Executor",
    "Future",
    "Node",
    "NotEmbeddedError",
    "Parameter",
    "SignalHandlerOptions",
    "SingleThreadedExecutor",
    "callback_groups",
    "client",
    "clock",
    "clock_type",
    "constants",
    "context",
    "create_node",
    "duration",
    "event_handler",
    "exceptions",
    "executors",
    "expand_topic_name",
    "get_default_context",
    "get_global_executor",
    "get_rmw_implementation_identifier",
    "guard_condition",
    "init",
    "install_signal_handlers",
    "lifecycle",
    "logging",
    "node",
    "ok",
    "parameter",
    "publisher",
    "qos",
    "qos_event",
    "qos_overriding_options",
    "serialization",
    "service",
    "shutdown",
    "signals",
    "spin",
    "spin_once",
    "spin_until_future_complete",
    "subscription",
    "task",
    "time",
    "time_source",
    "timer",
    "topic_endpoint_info",
    "try_shutdown",
    "type_hash",
    "uninstall_signal_handlers",
    "utilities",
    "validate_full_topic_name",
    "validate_namespace",
    "validate_node_name",
    "validate_topic_name",
    "wait_for_message",
]
