"""How every node's ``main`` runs: arguments in, spin, a clean end on SIGINT and SIGTERM."""

from __future__ import annotations

import atexit
import concurrent.futures
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.exceptions import (
    InvalidHandle,
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from avs_ros.errors import AvsError

# Images, sound, services and timers each find a free thread.
THREADS = 4
# For the callbacks that run when the end comes; `ros2 launch` becomes impatient after 5 s.
SHUTDOWN_TIMEOUT_S = 3.0
_POLL_S = 0.1

_USERS_FAULT = (AvsError, InvalidParameterTypeException, InvalidParameterValueException)

AnyNode = TypeVar("AnyNode", bound=Node)


def _ask_to_end(end: threading.Event) -> None:
    """Let SIGINT and SIGTERM set ``end`` and do nothing else, however often they come.

    rclpy's own handlers end the context at once, under whatever a node is doing; and a
    KeyboardInterrupt can strike in the middle of rclpy.  So a node ends in order: callbacks,
    node (which may log and publish till the last), context.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: end.set())


class _Spinner:
    """Runs a node's callbacks in threads of its own, so that no signal interrupts them."""

    def __init__(self, node: Node, end: threading.Event) -> None:
        self.error: BaseException | None = None
        self._node = node
        self._end = end
        self._executor = MultiThreadedExecutor(num_threads=THREADS)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            while self._node.context.ok() and not self._end.is_set():
                # rclpy stumbles over entities that another thread destroys (a publisher's event
                # handlers at cleanup, say) while it gathers what to wait for: look again.
                with contextlib.suppress(InvalidHandle):
                    self._executor.spin_once(timeout_sec=0.5)
        except BaseException as error:  # told by the main thread
            self.error = error
        finally:
            self._end.set()

    def stop(self) -> bool:
        """Wait for the callbacks; False when one still runs after the timeout."""
        self._end.set()
        self._executor.wake()
        # rclpy's own shutdown does not wait: callbacks would go on while the node under them is
        # destroyed.
        waiting = threading.Thread(target=self._wait, daemon=True)
        waiting.start()
        waiting.join(SHUTDOWN_TIMEOUT_S)
        if waiting.is_alive():
            return False
        self._executor.shutdown(timeout_sec=SHUTDOWN_TIMEOUT_S)
        return True

    def _wait(self) -> None:
        self._thread.join()
        pool = getattr(self._executor, "_executor", None)
        if isinstance(pool, concurrent.futures.Executor):
            pool.shutdown()


def _leave_at_once(error: BaseException | None) -> None:
    """End the process while a callback runs on, as while a model is loading.

    Such a thread cannot be stopped, the node cannot be taken from under it, and Python's own exit
    would wait for it.
    """
    if error is not None:
        traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else 1)


def run_node(
    create: Callable[[], AnyNode],
    args: Sequence[str] | None = None,
    finished: Callable[[AnyNode], bool] = lambda node: False,
) -> int:
    """Create the node and spin it until it is interrupted, shut down or ``finished(node)``.

    Returns the exit status: 0; 1 where the node ends as ``failed``; 2 with one message on stderr
    when the node cannot be made as asked (an argument or parameter that is wrong, a missing
    library, a file that is not there).  An exception of the node's own callbacks is raised again,
    after the node's orderly end.
    """
    end = threading.Event()
    _ask_to_end(end)
    # Spares Python a last look at every object of a model: seconds on a busy robot.
    atexit.register(gc.freeze)
    try:
        rclpy.init(
            args=list(args) if args is not None else None,
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # rcl says what is wrong with the arguments
        sys.stderr.write(f"{error}\n")
        return 2
    node: AnyNode | None = None
    spinner: _Spinner | None = None
    try:
        node = create()
        spinner = _Spinner(node, end)
        while not end.wait(_POLL_S) and not finished(node):
            pass
    except _USERS_FAULT as error:
        sys.stderr.write(f"{error}\n")
        return 2
    finally:
        if spinner is not None and not spinner.stop():
            _leave_at_once(spinner.error)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    if spinner is not None and spinner.error is not None:
        raise spinner.error
    return int(getattr(node, "failed", False))
