"""How many threads the engines compute with.

With one thread sums are taken in one order, whatever the number of cores: that is as far as the
same masks can be promised on another machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from avs_ros.errors import EngineError

_threads: ContextVar[int] = ContextVar("threads", default=0)


def computing_threads() -> int:
    """Threads for an engine that is built now; 0: as many as it takes by itself."""
    return _threads.get()


@contextlib.contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Engines built inside compute with ``count`` threads (None: as many as they take).

    PyTorch has one number of threads for the whole process: with engine torch it stays after the
    block.  Raises EngineError for a count below 1.
    """
    if count is not None and count < 1:
        raise EngineError(f"threads is {count}; it must be at least 1")
    token = _threads.set(count or 0)
    try:
        yield
    finally:
        _threads.reset(token)
