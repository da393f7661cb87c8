"""Running the callbacks of nodes, in one thread or in several."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .context import Context
from .executor import (
    ConditionReachedException,
    EntityTask,
    Executor,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
)
from .task import Task


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins; their exceptions come out of ``spin``."""

    def _spin_once(self, timeout_sec: float | None, condition: Callable[[], bool]) -> None:
        try:
            task = self.wait_for_ready_callbacks(timeout_sec, condition)
        except (ShutdownException, TimeoutException, ConditionReachedException):
            return
        self._run(task)
        if task.done():
            task.result()


class MultiThreadedExecutor(Executor):
    """Runs callbacks in a pool of threads; their exceptions come out of a later ``spin_once``."""

    def __init__(
        self, num_threads: int | None = None, *, context: Context | None = None
    ) -> None:
        """Use ``num_threads`` threads, by default as many as there are processors for us."""
        super().__init__(context=context)
        if num_threads is None:
            if hasattr(os, "sched_getaffinity"):
                num_threads = len(os.sched_getaffinity(0))
            else:
                num_threads = os.cpu_count() or 2
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="ros-callbacks")
        self._futures: list[Task] = []

    def _spin_once(self, timeout_sec: float | None, condition: Callable[[], bool]) -> None:
        try:
            task = self.wait_for_ready_callbacks(timeout_sec, condition)
        except (
            ExternalShutdownException, ShutdownException, TimeoutException,
            ConditionReachedException,
        ):
            return
        self._futures.append(task)
        self._pool.submit(self._run, task)
        finished = [one for one in self._futures if one.done()]
        for one in finished:
            self._futures.remove(one)
            one.result()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Start nothing more and wait for what runs; ``False`` if it runs on at the timeout."""
        done = super().shutdown(timeout_sec)
        # Waiting for the pool from one of its own threads would never end.
        self._pool.shutdown(wait=False, cancel_futures=True)
        for task in self._futures:
            if isinstance(task, EntityTask):
                task.abandon()
        return done


__all__ = [
    "ConditionReachedException",
    "Executor",
    "ExternalShutdownException",
    "MultiThreadedExecutor",
    "ShutdownException",
    "SingleThreadedExecutor",
    "TimeoutException",
]
