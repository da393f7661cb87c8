"""How every node's ``main`` runs: arguments in, spin, a clean end on SIGINT and SIGTERM."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from avs_ros.errors import AvsError
from avs_ros.middleware import rclpy

# Pictures, sound, services and timers each find a free thread.
THREADS = 4
# For the callbacks that run when the end comes; `ros2 launch` becomes impatient after 5 s.
PATIENCE_S = 3.0

_USERS_FAULT = (
    AvsError,
    rclpy.exceptions.InvalidParameterTypeException,
    rclpy.exceptions.InvalidParameterValueException,
)


def _let_the_end_be_undisturbed() -> None:
    """Take no notice of further SIGINTs: `ros2 launch` may pass a terminal's Ctrl-C on again."""
    if threading.current_thread() is threading.main_thread():
        # Not SIG_IGN: rclpy puts the former handler back while it shuts down.
        signal.signal(signal.SIGINT, lambda number, frame: None)


def _callbacks_ended(executor: Any) -> bool:
    """Shut the executor down; False when a callback still runs after ``PATIENCE_S``."""
    pool = getattr(executor, "_executor", None)
    if isinstance(pool, concurrent.futures.Executor):
        # rclpy's own shutdown (Humble to Jazzy) does not wait: callbacks would go on while the
        # node under them is destroyed.
        waiting = threading.Thread(target=pool.shutdown, daemon=True)
        waiting.start()
        waiting.join(PATIENCE_S)
        if waiting.is_alive():
            return False
    return bool(executor.shutdown(timeout_sec=PATIENCE_S))


def _leave_at_once() -> None:
    """End the process while a callback runs on, as while a model is loading.

    Such a thread cannot be stopped, the node cannot be taken from under it, and Python's own exit
    would wait for it.
    """
    error = sys.exc_info()[1]
    if error is not None:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else 1)


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
    started = False
    try:
        rclpy.init(args=list(args) if args is not None else None)
        started = True
        node = create()
        executor = rclpy.executors.MultiThreadedExecutor(num_threads=THREADS)
        executor.add_node(node)
        while rclpy.ok() and not finished(node):
            executor.spin_once(timeout_sec=0.5)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    except Exception as error:
        if started and not rclpy.ok():
            return 0  # interrupted while the node was still being made
        if not isinstance(error, _USERS_FAULT):
            raise
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        _let_the_end_be_undisturbed()
        if executor is not None and not _callbacks_ended(executor):
            _leave_at_once()
        if node is not None:
            node.destroy_node()
        # A signal may have shut the context down already.
        rclpy.try_shutdown()
        # Spares Python a last look at every object of a model: seconds on a busy robot.
        gc.freeze()
    return 0
