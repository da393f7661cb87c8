"""Futures and the tasks that executors run."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executors import Executor


class Future:
    """The outcome of something that is not over yet; ``await`` it or add a callback."""

    def __init__(self, *, executor: Executor | None = None) -> None:
        self._done = False
        self._cancelled = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self._exception_fetched = False
        self._callbacks: list[Callable[[Future], Any]] = []
        self._lock = threading.Lock()
        self._executor: weakref.ref[Executor] | None = None
        self._set_executor(executor)

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_fetched:
            print(
                f"The following exception was never retrieved: {self._exception}",
                file=sys.stderr,
            )

    def __await__(self) -> Generator[Future, None, Any]:
        while not self._done:
            yield self
        return self.result()

    def cancel(self) -> None:
        """Ask for the end of what is not over yet."""
        with self._lock:
            if not self._done:
                self._cancelled = True
        self._run_callbacks()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def done(self) -> bool:
        """Whether there is a result or an exception."""
        return self._done

    def result(self) -> Any:
        """Give the result (``None`` before there is one); raises what was set as exception."""
        if self._exception is not None:
            self._exception_fetched = True
            raise self._exception
        return self._result

    def exception(self) -> BaseException | None:
        """Give the exception, if that is the outcome."""
        self._exception_fetched = True
        return self._exception

    def set_result(self, result: Any) -> None:
        """End with a result."""
        with self._lock:
            self._result = result
            self._done = True
            self._cancelled = False
        self._run_callbacks()

    def set_exception(self, exception: BaseException) -> None:
        """End with an exception."""
        with self._lock:
            self._exception = exception
            self._exception_fetched = False
            self._done = True
            self._cancelled = False
        self._run_callbacks()

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call ``callback`` with this future when it is done; at once if it is done already."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        self._call(callback)

    def _set_executor(self, executor: Executor | None) -> None:
        with self._lock:
            self._executor = None if executor is None else weakref.ref(executor)

    def _run_callbacks(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                self._call(callback)
            except Exception as error:
                # The callbacks after it must run all the same.
                warnings.warn(f"Unhandled exception in done callback: {error}", stacklevel=2)

    def _call(self, callback: Callable[[Future], Any]) -> None:
        executor = self._executor() if self._executor is not None else None
        if executor is not None:
            executor.create_task(callback, self)
        else:
            callback(self)


class Task(Future):
    """A function or coroutine that an executor runs; its outcome is the task's outcome."""

    def __init__(
        self,
        handler: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        executor: Executor | None = None,
    ) -> None:
        super().__init__(executor=executor)
        self._handler: Any = handler
        self._args = args
        self._kwargs = kwargs or {}
        self._executing = False
        self._started = False
        self._task_lock = threading.Lock()

    def __call__(self) -> None:
        """Run, or go on after an ``await``; never twice at the same time."""
        if self._done or not self._task_lock.acquire(blocking=False):
            return
        try:
            if self._done:
                return
            self._executing = self._started = True
            if inspect.iscoroutine(self._handler):
                self._step()
            else:
                self._run()
        finally:
            self._executing = False
            self._task_lock.release()

    def _run(self) -> None:
        try:
            result = self._handler(*self._args, **self._kwargs)
        except Exception as error:
            self.set_exception(error)
        else:
            if inspect.iscoroutine(result):
                self._handler = result
                self._step()
                return
            self.set_result(result)
        self._forget()

    def _step(self) -> None:
        try:
            waits_for = self._handler.send(None)
        except StopIteration as stop:
            self.set_result(stop.value)
            self._forget()
        except Exception as error:
            self.set_exception(error)
            self._forget()
        else:
            self._resume_after(waits_for)

    def _resume_after(self, waits_for: Any) -> None:
        executor = self._executor() if self._executor is not None else None
        if executor is None:
            return
        if isinstance(waits_for, Future):
            # Going on is a matter for this task's executor, in one of its threads.
            waits_for.add_done_callback(lambda _: executor._resume(self))
        else:
            executor._resume(self)

    def _forget(self) -> None:
        self._handler, self._args, self._kwargs = None, (), {}

    def started(self) -> bool:
        """Whether it has begun to run."""
        return self._started

    def executing(self) -> bool:
        """Whether it runs right now."""
        return self._executing
