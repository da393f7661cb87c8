"""Waiting for one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .executors import ExternalShutdownException, SingleThreadedExecutor
from .qos import QoSProfile
from .task import Future

if TYPE_CHECKING:
    from .node import Node


def wait_for_message(
    msg_type: Any,
    node: Node,
    topic: str,
    *,
    qos_profile: QoSProfile | int = 1,
    time_to_wait: float = -1,
) -> tuple[bool, Any]:
    """Wait for the next message on ``topic``: ``(True, message)``.

    ``(False, None)`` after ``time_to_wait`` seconds (negative: for ever) and at shutdown.  The
    node must not be spinning in another executor.
    """
    future: Future = Future()

    def keep_first(message: Any) -> None:
        if not future.done():
            future.set_result(message)

    executor = SingleThreadedExecutor(context=node.context)
    previous = node.executor
    subscription = node.create_subscription(msg_type, topic, keep_first, qos_profile)
    try:
        executor.add_node(node)
        executor.spin_until_future_complete(future, time_to_wait)
    except ExternalShutdownException:
        pass
    finally:
        node.executor = previous
        node.destroy_subscription(subscription)
    return (True, future.result()) if future.done() else (False, None)
