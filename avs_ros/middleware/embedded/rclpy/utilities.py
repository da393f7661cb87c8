"""The default context and what concerns the process as a whole."""

from __future__ import annotations

import threading

from .arguments import remove_ros_args
from .constants import S_TO_NS
from .context import Context

_context_lock = threading.Lock()
_default_context: Context | None = None


def get_default_context(*, shutting_down: bool = False) -> Context:
    """Give the context of everyone who does not name one; a fresh one after shutdown."""
    global _default_context
    with _context_lock:
        if _default_context is None:
            _default_context = Context()
        context = _default_context
        if shutting_down:
            _default_context = None
        return context


def ok(*, context: Context | None = None) -> bool:
    """Whether the context (default: the process's) is initialised and not shut down."""
    return (get_default_context() if context is None else context).ok()


def shutdown(*, context: Context | None = None) -> None:
    """Shut the context down; raises ``RuntimeError`` if it is not running."""
    (get_default_context(shutting_down=True) if context is None else context).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    """Shut the context down if it is running."""
    (get_default_context(shutting_down=True) if context is None else context).try_shutdown()


def get_rmw_implementation_identifier() -> str:
    """Name the layer below: the embedded runtime speaks DDS as rmw_cyclonedds does."""
    return "rmw_cyclonedds_cpp"


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    """Give a timeout in ns; -1 (forever) for ``None`` and negative ones."""
    if timeout_sec is None or timeout_sec < 0:
        return -1
    return int(float(timeout_sec) * S_TO_NS)


__all__ = [
    "get_default_context",
    "get_rmw_implementation_identifier",
    "ok",
    "remove_ros_args",
    "shutdown",
    "timeout_sec_to_nsec",
    "try_shutdown",
]
