"""A ROS context of its own for a test, with a thread-free way to wait for something."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ros_packages import require_ros

require_ros()

import rclpy  # noqa: E402
import rclpy.executors  # noqa: E402
import rclpy.node  # noqa: E402

PATIENCE_S = 20.0


class RosSession:
    """A context, an executor and the nodes of one test; ``close`` ends everything."""

    def __init__(self, **executor_options: Any) -> None:
        self.context = rclpy.Context()
        self.context.init([])
        self.executor: Any = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.nodes: list[Any] = []

    def node(self, name: str, **options: Any) -> Any:
        options.setdefault("start_parameter_services", False)
        options.setdefault("enable_rosout", False)
        node = rclpy.node.Node(name, context=self.context, **options)
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def wait(self, condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> bool:
        """Spin until the condition holds; ``False`` when the patience ends."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.executor.spin_once(timeout_sec=0.05)
        return True

    def ask(self, future: Any) -> Any:
        """Spin until a future is done; its result."""
        self.executor.spin_until_future_complete(future, PATIENCE_S)
        assert future.done()
        return future.result()

    def close(self) -> None:
        for node in self.nodes:
            node.destroy_node()
        self.executor.shutdown(timeout_sec=PATIENCE_S)
        self.context.try_shutdown()


class Program:
    """Another Python process that a test talks to over DDS; prints become ``lines``."""

    def __init__(self, source: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", source, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def has_line(self) -> bool:
        """Whether it has printed a line that was not read yet."""
        return not self._lines.empty()

    def line(self) -> str:
        """The next line it prints; fails when none comes."""
        try:
            return self._lines.get(timeout=PATIENCE_S).rstrip("\n")
        except queue.Empty:
            raise AssertionError("the other process says nothing") from None

    def _rest(self) -> str:
        self._reader.join(PATIENCE_S)
        return "".join(self._lines.queue)

    def finish(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Wait for its end: exit status and the rest of what it printed."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the other process hangs; it said:\n{self._rest()}") from None
        return code, self._rest()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
