"""The base of executors: finding what is ready, waiting, ending."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .context import Context
from .task import Future, Task
from .utilities import get_default_context
from .waitable import Entity

if TYPE_CHECKING:
    from .node import Node


class TimeoutException(Exception):
    """Nothing was ready in time."""


class ShutdownException(Exception):
    """The executor was shut down."""


class ExternalShutdownException(Exception):
    """The context was shut down, by Ctrl-C for example."""


class ConditionReachedException(Exception):
    """What was waited for has happened."""


class EntityTask(Task):
    """The work of one entity, whose callback group is taken already."""

    def abandon(self) -> None:
        """Free the entity and its group, if the work has not begun."""
        if not self.started() and self._args:
            entity = self._args[0]
            entity._executor_event = False
            entity.callback_group.ending_execution(entity)
            self._forget()


class Executor:
    """Base: collects what is ready from its nodes; subclasses say where it runs."""

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self._nodes: list[Node] = []
        self._nodes_lock = threading.RLock()
        self._tasks: deque[Task] = deque()
        self._news = threading.Event()
        self._is_shutdown = False
        self._workers: list[int] = []
        self._idle = threading.Condition()
        self._ready: Iterator[Task] = iter(())
        self._context.on_shutdown(self.wake)

    @property
    def context(self) -> Context:
        """The context it belongs to."""
        return self._context

    def create_task(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """Run a function or coroutine function soon; the task is its future."""
        task = Task(callback, args, kwargs, executor=self)
        self._tasks.append(task)
        self.wake()
        return task

    def _resume(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def add_node(self, node: Node) -> bool:
        """Run the node's callbacks from now on; ``False`` if that is so already."""
        with self._nodes_lock:
            if node in self._nodes:
                return False
            self._nodes.append(node)
        node.executor = self
        self.wake()
        return True

    def remove_node(self, node: Node) -> None:
        """Run the node's callbacks no more."""
        with self._nodes_lock:
            if node not in self._nodes:
                return
            self._nodes.remove(node)
        self.wake()

    def get_nodes(self) -> list[Node]:
        """Give the nodes whose callbacks it runs."""
        with self._nodes_lock:
            return list(self._nodes)

    def wake(self) -> None:
        """Look again for what is ready; callable from any thread."""
        self._news.set()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Start nothing more and wait for what runs; ``False`` if it runs on at the timeout.

        Called from a callback, it waits for the others only.
        """
        self._is_shutdown = True
        self.wake()
        me = threading.get_ident()
        with self._idle:
            done = self._idle.wait_for(
                lambda: all(worker == me for worker in self._workers),
                None if timeout_sec is None or timeout_sec < 0 else timeout_sec,
            )
        if done:
            with self._nodes_lock:
                self._nodes.clear()
        return done

    def spin(self) -> None:
        """Run callbacks until shutdown."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and start it; at most ``timeout_sec`` (``None``: for ever)."""
        self._spin_once(timeout_sec, lambda: False)

    def spin_once_until_future_complete(
        self, future: Future, timeout_sec: float | None = None
    ) -> None:
        """Start one callback, unless ``future`` is done first."""
        future.add_done_callback(lambda _: self.wake())
        self._spin_once(timeout_sec, future.done)

    def _spin_once(self, timeout_sec: float | None, condition: Callable[[], bool]) -> None:
        raise NotImplementedError

    def _run(self, task: Task) -> None:
        me = threading.get_ident()
        with self._idle:
            self._workers.append(me)
        try:
            task()
        finally:
            with self._idle:
                self._workers.remove(me)
                self._idle.notify_all()

    def spin_until_future_complete(
        self, future: Future, timeout_sec: float | None = None
    ) -> None:
        """Run callbacks until ``future`` is done, the time is up, or shutdown."""
        future.add_done_callback(lambda _: self.wake())
        forever = timeout_sec is None or timeout_sec < 0
        end = time.monotonic() + (0.0 if timeout_sec is None else timeout_sec)
        while self._context.ok() and not future.done() and not self._is_shutdown:
            left = None if forever else max(end - time.monotonic(), 0.0)
            self._spin_once(left, future.done)
            if not forever and time.monotonic() >= end:
                return

    # --- waiting ---------------------------------------------------------------------------------

    def wait_for_ready_callbacks(
        self, timeout_sec: float | None, condition: Callable[[], bool] = lambda: False
    ) -> Task:
        """Give the next thing to run, in turn among all that is ready.

        Raises ``TimeoutException``, ``ConditionReachedException``, ``ShutdownException`` or
        ``ExternalShutdownException``.
        """
        deadline = None
        if timeout_sec is not None and timeout_sec >= 0:
            deadline = time.monotonic() + timeout_sec
        expired = False
        while True:
            if self._is_shutdown:
                raise ShutdownException
            if not self._context.ok():
                raise ExternalShutdownException
            if condition():
                raise ConditionReachedException
            task = next(self._ready, None)
            if task is not None:
                return task
            # The order matters: news that comes after "clear" ends the wait below at once.
            self._news.clear()
            self._ready = self._collect()
            task = next(self._ready, None)
            if task is not None:
                return task
            if expired:
                raise TimeoutException
            if condition() or not self._context.ok() or self._is_shutdown:
                continue
            expired = self._sleep(deadline)

    def _sleep(self, deadline: float | None) -> bool:
        """Sleep until there is news or a timer is due; whether the deadline has come."""
        waits = [] if deadline is None else [deadline - time.monotonic()]
        for node in self.get_nodes():
            for timer in node.timers:
                wait_ns = timer._wait_ns()
                # One that waits for its group is woken by the end of the group's callback.
                if wait_ns is None or timer._executor_event:
                    continue
                if wait_ns > 0 or timer.callback_group.can_execute(timer):
                    waits.append(wait_ns * 1e-9)
        self._news.wait(max(min(waits), 0.0) if waits else None)
        return deadline is not None and time.monotonic() >= deadline

    def _collect(self) -> Iterator[Task]:
        for _ in range(len(self._tasks)):
            try:
                yield self._tasks.popleft()
            except IndexError:
                break
        for node in self.get_nodes():
            for entity in node._entities():
                if entity._executor_event or entity._destroyed or not entity._is_ready():
                    continue
                if entity.callback_group.beginning_execution(entity):
                    yield self._make_task(entity)

    def _make_task(self, entity: Entity) -> Task:
        entity._executor_event = True
        return EntityTask(self._execute, (entity,), executor=self)

    async def _execute(self, entity: Entity) -> None:
        try:
            try:
                work = None if self._is_shutdown else entity._take()
            finally:
                entity._executor_event = False
            # With a free group another thread may take the next sample already.
            self.wake()
            if work is not None:
                result = work()
                if hasattr(result, "__await__"):
                    await result
        finally:
            entity.callback_group.ending_execution(entity)
            self.wake()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.shutdown()
