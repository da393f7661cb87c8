"""How every node's ``main`` runs: arguments in, spin, a clean end on SIGINT and SIGTERM."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from avs_ros.errors import AvsError
from avs_ros.middleware import rclpy

# Pictures, sound, services and timers each find a free thread.
THREADS = 4

_USERS_FAULT = (
    AvsError,
    rclpy.exceptions.InvalidParameterTypeException,
    rclpy.exceptions.InvalidParameterValueException,
)


def run_node(
    create: Callable[[], Any],
    args: Sequence[str] | None = None,
    finished: Callable[[Any], bool] = lambda node: False,
) -> int:
    """Create the node and spin it until it is interrupted, shut down or ``finished(node)``.

    Returns the exit status: 0, or 2 with one sentence on stderr when the node cannot be made as
    asked (a parameter out of range, a missing library, a file that is not there).
    """
    executor: Any = None
    node: Any = None
    try:
        rclpy.init(args=list(args) if args is not None else None)
        node = create()
        executor = rclpy.executors.MultiThreadedExecutor(num_threads=THREADS)
        executor.add_node(node)
        while rclpy.ok() and not finished(node):
            executor.spin_once(timeout_sec=0.5)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    except Exception as error:
        if not isinstance(error, _USERS_FAULT):
            if rclpy.ok():
                raise
            return 0  # interrupted while the node was still being made
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        if executor is not None:
            executor.shutdown(timeout_sec=5.0)
        if node is not None:
            node.destroy_node()
        # A signal may have shut the context down already.
        rclpy.try_shutdown()
    return 0
