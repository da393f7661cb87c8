"""The span between ``init`` and ``shutdown``, and the DDS participant that belongs to it."""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from inspect import ismethod
from types import TracebackType
from typing import Any

from .. import domain
from ..discovery import Graph
from ..participant import Participant
from . import logging_output
from .arguments import Arguments, parse_arguments
from .exceptions import NotInitializedException, RCLError

# Strong references: a context that its owner has lost must still be stopped at exit.
_running: set[Context] = set()
_STOP_PATIENCE_S = 10.0


class Context:
    """One initialisation of the runtime; nodes and executors live inside one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: list[Any] = []
        self._initialized = False
        self._ok = False
        self._stopped = threading.Event()
        self._stopping_thread = 0
        self._domain_id = 0
        self._participant: Participant | None = None
        self._graph: Graph | None = None
        self.arguments = Arguments()

    def init(
        self,
        args: Sequence[str] | None = None,
        *,
        initialize_logging: bool = True,
        domain_id: int | None = None,
    ) -> None:
        """Start; ``args`` default to the process's.

        Raises ``RuntimeError`` the second time, and what ``parse_arguments`` and the domain id's
        check raise.
        """
        with self._lock:
            if self._initialized:
                raise RuntimeError("Context.init() must only be called once")
            arguments = parse_arguments(sys.argv if args is None else args)
            arguments.check_unknown()
            if domain_id is not None and domain_id < 0:
                raise RuntimeError(f"Domain id ({domain_id}) should not be lower than zero.")
            self._domain_id = (
                domain.default_domain_id() if domain_id is None
                else domain.check_domain_id(domain_id)
            )
            self.arguments = arguments
            if initialize_logging:
                logging_output.configure(arguments)
            self._initialized = self._ok = True
            _running.add(self)

    def ok(self) -> bool:
        """Whether it is initialised and not shut down."""
        return self._ok

    def _join(self) -> tuple[Participant, Graph]:
        with self._lock:
            if not self._ok:
                raise NotInitializedException("the context is not running")
            if self._participant is None:
                self._participant = Participant(self._domain_id, self.arguments.enclave or "/")
                self._graph = Graph(self._participant, self.arguments.enclave or "/")
            assert self._graph is not None
            return self._participant, self._graph

    @property
    def participant(self) -> Participant:
        """The DDS participant, which joins the domain when first asked for."""
        return self._join()[0]

    @property
    def graph(self) -> Graph:
        """What is known about nodes and endpoints in the domain."""
        return self._join()[1]

    def shutdown(self) -> None:
        """Stop; raises ``RuntimeError`` when it is not running."""
        if not self._initialized:
            raise RuntimeError("Context must be initialized before it can be shutdown")
        if not self._stop():
            raise RCLError("failed to shutdown: the context was shut down already")

    def try_shutdown(self) -> None:
        """Stop if it is running."""
        self._stop()

    def _stop(self) -> bool:
        with self._lock:
            first = self._ok
            if first:
                self._ok = False
                self._stopping_thread = threading.get_ident()
                callbacks, self._callbacks = self._callbacks, []
            participant, graph = self._participant, self._graph
        if not first:
            # Whoever comes second must not go on to exit while DDS is still being taken down;
            # a callback of the shutdown itself must not wait for it.
            if self._initialized and threading.get_ident() != self._stopping_thread:
                self._stopped.wait(_STOP_PATIENCE_S)
            return False
        try:
            for reference in callbacks:
                callback = reference() if isinstance(reference, weakref.WeakMethod) else reference
                if callback is not None:
                    callback()
        finally:
            if graph is not None:
                graph.close()
            if participant is not None:
                participant.close()
            self._stopped.set()
            _running.discard(self)
        return True

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` at shutdown (at once if that was); methods are held weakly."""
        if not callable(callback):
            raise TypeError(f"callback should be a callable, got {type(callback)}")
        with self._lock:
            if not self._initialized or self._ok:
                self._callbacks.append(
                    weakref.WeakMethod(callback) if ismethod(callback) else callback
                )
                return
        callback()

    def _forget_on_shutdown(self, callback: Callable[[], None]) -> None:
        reference = weakref.WeakMethod(callback) if ismethod(callback) else callback
        with self._lock:
            if reference in self._callbacks:
                self._callbacks.remove(reference)

    def get_domain_id(self) -> int:
        """Give the DDS domain; raises ``RuntimeError`` before ``init``."""
        if not self._initialized:
            raise RuntimeError("Context must be initialized before it can have a domain id")
        return self._domain_id

    def destroy(self) -> None:
        """Stop if it is running."""
        self._stop()

    def __enter__(self) -> Context:
        self.init()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.try_shutdown()


def running_contexts() -> list[Context]:
    """Give every context of this process that is not shut down."""
    return [context for context in list(_running) if context.ok()]


@atexit.register
def _stop_all() -> None:
    # DDS must go before the interpreter does: its threads and ours would outlive it.
    for context in list(_running):
        context.try_shutdown()
